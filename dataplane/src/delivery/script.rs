//! What a control plane sends, for the tests of both the protocol and its transport.

use std::sync::Arc;

use apigw_config::{
    model::{GatewayConfig, Route, Settings},
    names::{PathPrefix, RouteName, UpstreamUrl},
    wire::{self, Content, Leaf, Resource, Revision},
};
use apigw_proto::v1::{self, follow_response};

/// A revision and what it is made of.
pub(super) struct Revised {
    pub(super) revision: Revision,
    pub(super) resources: Vec<Resource>,
    pub(super) leaves: Vec<Arc<Leaf>>,
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
    let leaves = wire::leaves_of(&resources);
    Revised { revision: Revision { epoch: 1, seq, root_hash }, resources, leaves }
}

impl Revised {
    /// All of it, as a data plane that runs it has it.
    pub(super) fn content(&self) -> Content {
        Content::encode(&wire::decode(&self.resources).unwrap(), None).unwrap()
    }
}

pub(super) fn response(message: follow_response::Message) -> v1::FollowResponse {
    v1::FollowResponse { message: Some(message) }
}

pub(super) fn offer(revised: &Revised) -> v1::FollowResponse {
    let leaf_hashes: Vec<u8> = revised.leaves.iter().flat_map(|leaf| *leaf.hash().as_bytes()).collect();
    let (revision, required_features) = (Some(revised.revision.into()), vec![]);
    let leaf_hashes = leaf_hashes.into();
    response(follow_response::Message::Offer(v1::Offer { revision, required_features, leaf_hashes }))
}

/// Some of its leaves.
pub(super) fn leaves(revised: &Revised, indexes: &[usize]) -> v1::FollowResponse {
    let entries = |leaf: &Leaf| leaf.resources().iter().map(|r| r.entry().clone().into()).collect();
    let leaf = |index: &usize| v1::Leaf { entries: entries(&revised.leaves[*index]) };
    let leaves = indexes.iter().map(leaf).collect();
    response(follow_response::Message::Leaves(v1::Leaves { leaves }))
}

/// All of its leaves.
pub(super) fn all_leaves(revised: &Revised) -> v1::FollowResponse {
    leaves(revised, &(0..revised.leaves.len()).collect::<Vec<_>>())
}

pub(super) fn chunk(revised: &Revised, indexes: &[usize]) -> v1::FollowResponse {
    let resources = indexes.iter().map(|index| revised.resources[*index].bytes().clone()).collect();
    response(follow_response::Message::Chunk(v1::Chunk { resources }))
}
