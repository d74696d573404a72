//! An operator's word on whether an endpoint is given new requests. What follows from it the engine knows.

use apigw_config::names::{BackendName, UpstreamUrl, ValueError};
use apigw_engine::{Snapshot, endpoint::LastEndpoint};
use apigw_proto::v1;

use super::observed::{Configured, Moment, endpoint_row, endpoints};

/// Why nothing is done.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("this build does not know the order")]
    UnknownOrder,
    #[error("no endpoint: {0}")]
    NotAnEndpoint(#[source] ValueError),
    #[error("no backend: {0}")]
    NotABackend(#[source] ValueError),
    #[error("no backend has an endpoint at {}", .0.as_str())]
    NotFound(UpstreamUrl),
    #[error("backend {backend} has no endpoint at {}", .url.as_str())]
    NotFoundIn { url: UpstreamUrl, backend: BackendName },
    #[error(transparent)]
    LastEndpoint(#[from] LastEndpoint),
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Begin,
    End,
}

/// Does what is asked for; gives what came of it for each backend that has the endpoint.
pub(super) fn carry_out(
    request: &v1::DrainRequest,
    snapshot: &Snapshot,
    data_plane: &str,
    moment: Moment,
) -> Vec<v1::DrainOutcome> {
    let outcome = |endpoint, refusal: Option<Refusal>| v1::DrainOutcome {
        data_plane: data_plane.into(),
        endpoint,
        refusal: refusal.map(|refusal| refusal.to_string()).unwrap_or_default(),
    };
    let (order, meant) = match meant(request, snapshot) {
        Ok(understood) => understood,
        Err(refusal) => return vec![outcome(None, Some(refusal))],
    };
    let done = meant.iter().map(|endpoint| {
        let refusal = set(order, endpoint, moment).err();
        outcome(Some(endpoint_row(endpoint, data_plane, moment)), refusal)
    });
    done.collect()
}

/// What is to be done, and with which endpoints: at least one.
fn meant<'s>(
    request: &v1::DrainRequest,
    snapshot: &'s Snapshot,
) -> Result<(Order, Vec<Configured<'s>>), Refusal> {
    let order = match request.order() {
        v1::DrainOrder::Begin => Order::Begin,
        v1::DrainOrder::End => Order::End,
        v1::DrainOrder::Unspecified => return Err(Refusal::UnknownOrder),
    };
    let url = UpstreamUrl::new(&request.url).map_err(Refusal::NotAnEndpoint)?;
    let backend = match request.backend.as_str() {
        "" => None,
        name => Some(BackendName::new(name).map_err(Refusal::NotABackend)?),
    };
    let is_meant =
        |endpoint: &Configured<'_>| backend.is_none() || endpoint.backend.name() == backend.as_ref();
    let meant: Vec<_> =
        endpoints(snapshot).filter(|endpoint| is_meant(endpoint) && endpoint.is_at(&url)).collect();
    match (meant.is_empty(), backend) {
        (false, _) => Ok((order, meant)),
        (true, None) => Err(Refusal::NotFound(url)),
        (true, Some(backend)) => Err(Refusal::NotFoundIn { url, backend }),
    }
}

fn set(order: Order, endpoint: &Configured<'_>, moment: Moment) -> Result<(), Refusal> {
    let Configured { backend, config, endpoint } = endpoint;
    // Each has one, as its backend has a name.
    let Some(state) = &endpoint.state else { return Ok(()) };
    let backend_name = backend.name().map(BackendName::as_str);
    match order {
        Order::Begin => {
            state.begin_drain(backend.endpoints().len(), moment.now)?;
            tracing::info!(
                backend = backend_name,
                endpoint = config.url.as_str(),
                "endpoint drained by an operator"
            );
        }
        Order::End => {
            state.end_drain(moment.now);
            tracing::info!(
                backend = backend_name,
                endpoint = config.url.as_str(),
                "drain ended by an operator"
            );
        }
    }
    Ok(())
}
