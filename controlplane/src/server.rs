//! Both services on one address, behind the key.
//!
//! What a peer may cost before it is known is bounded in [`apigw_transport::server`]; here, how many there may be.

use std::time::Duration;

use apigw_config::admin_key::AdminKey;
use apigw_proto::{
    MAX_MESSAGE_BYTES,
    v1::{delivery_server::DeliveryServer, gateway_server::GatewayServer},
};
use apigw_transport::{
    address::Address,
    credentials::Credentials,
    listener::{BindError, Bound, Listener},
    server::{Protocols, Serving},
};
use tokio::sync::watch;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, Routes, interceptor::InterceptedService},
};

use crate::{
    delivery::{DeliveryService, MAX_STREAMS},
    gateway::GatewayService,
    publication::Desired,
};

/// The most connections at once: one of each data plane, and some of operators.
const MAX_CONNECTIONS: u32 = MAX_STREAMS + 500;
/// How long peers may take to let go when the program ends.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// A bound address, not served yet.
#[derive(Debug)]
pub(crate) struct Server {
    listener: Listener,
    credentials: Credentials,
}

impl Server {
    /// Binds an address. One that other machines can reach needs a key or certificates.
    pub(crate) fn bind(address: &Address, credentials: Credentials) -> Result<Self, BindError> {
        Ok(Self { listener: Listener::bind(address, &credentials)?, credentials })
    }

    /// Where it listens; the port is the real one.
    pub(crate) fn bound(&self) -> &Bound {
        self.listener.bound()
    }

    /// Serves until nothing is published any more and the calls under way have ended, which they have [`STOP_TIMEOUT`]
    /// for.
    pub(crate) async fn serve(
        mut self,
        delivery: DeliveryService,
        gateway: GatewayService,
        desired: watch::Receiver<Desired>,
    ) {
        let Credentials { key, tls } = self.credentials;
        let door = Door(key);
        let delivery = DeliveryServer::new(delivery)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let gateway = GatewayServer::new(gateway)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let routes = Routes::new(InterceptedService::new(delivery, door.clone()))
            .add_service(InterceptedService::new(gateway, door));
        // It goes when the last call has ended, or the time for that.
        let _file = self.listener.take_file();
        let serving = Serving { max_connections: MAX_CONNECTIONS, protocols: Protocols::Http2, tls };
        let serving = serving.serve(self.listener, routes.into_axum_router(), closed(desired.clone()));
        let patience = async {
            closed(desired).await;
            tokio::time::sleep(STOP_TIMEOUT).await;
        };
        tokio::select! {
            () = serving => {}
            () = patience => {}
        }
    }
}

/// Waits until the publisher is gone.
async fn closed(mut desired: watch::Receiver<Desired>) {
    while desired.changed().await.is_ok() {}
}

/// Lets through who has the key; everybody where there is none.
#[derive(Debug, Clone)]
struct Door(Option<AdminKey>);

impl Interceptor for Door {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let presented = request.metadata().get("authorization").map(MetadataValue::as_encoded_bytes);
        match AdminKey::admit(self.0.as_ref(), presented) {
            Ok(()) => Ok(request),
            Err(refusal) => Err(Status::unauthenticated(refusal.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> AdminKey {
        AdminKey::new("secret".into()).unwrap()
    }

    #[test]
    fn the_door_opens_for_the_key_only() {
        let knock = |door: Option<AdminKey>, authorization: Option<&'static str>| {
            let mut request = Request::new(());
            if let Some(value) = authorization {
                request.metadata_mut().insert("authorization", value.parse().unwrap());
            }
            Door(door).call(request).is_ok()
        };
        assert!(knock(None, None));
        assert!(knock(Some(key()), Some("Bearer secret")));
        assert!(!knock(Some(key()), Some("Bearer wrong")));
        assert!(!knock(Some(key()), None));
    }
}
