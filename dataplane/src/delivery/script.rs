//! What a control plane sends, for the tests of both the protocol and its transport.

use apigw_config::{
    model::{GatewayConfig, Route, Settings},
    names::{PathPrefix, RouteName, UpstreamUrl},
    wire::{self, Resource, Revision},
};
use apigw_proto::v1::{self, follow_response};

/// A revision and what it is made of.
pub(super) struct Revised {
    pub(super) revision: Revision,
    pub(super) resources: Vec<Resource>,
}

/// A configuration with these routes.
pub(super) fn revised(seq: u64, routes: &[&str]) -> Revised {
    let route = |name: &&str| {
        Route::new(
            RouteName::new(name).unwrap(),
            PathPrefix::new(&format!("/{name}")).unwrap(),
            UpstreamUrl::new("http://127.0.0.1:1").unwrap(),
        )
    };
    let config = GatewayConfig::new(Settings::default(), routes.iter().map(route).collect()).unwrap();
    of_resources(seq, wire::encode(&config).unwrap())
}

pub(super) fn of_resources(seq: u64, resources: Vec<Resource>) -> Revised {
    let root_hash = wire::root_hash(resources.iter().map(Resource::entry));
    Revised { revision: Revision { epoch: 1, seq, root_hash }, resources }
}

pub(super) fn response(message: follow_response::Message) -> v1::FollowResponse {
    v1::FollowResponse { message: Some(message) }
}

pub(super) fn offer(revised: &Revised) -> v1::FollowResponse {
    let entry_count = u32::try_from(revised.resources.len()).unwrap();
    let (revision, required_features) = (Some(revised.revision.into()), vec![]);
    response(follow_response::Message::Offer(v1::Offer { revision, entry_count, required_features }))
}

pub(super) fn entries(revised: &Revised) -> v1::FollowResponse {
    let entries = revised.resources.iter().map(|resource| resource.entry().clone().into()).collect();
    response(follow_response::Message::Entries(v1::Entries { entries }))
}

pub(super) fn chunk(revised: &Revised, indexes: &[usize]) -> v1::FollowResponse {
    let resources = indexes.iter().map(|index| revised.resources[*index].bytes().clone()).collect();
    response(follow_response::Message::Chunk(v1::Chunk { resources }))
}
