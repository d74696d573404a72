//! Both services on one port, behind the key.
//!
//! What a peer may cost is bounded here: the streams of a connection, the size of a message, how long a dead one is held.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use apigw_config::{admin_key::AdminKey, names::ListenAddress};
use apigw_proto::{
    MAX_MESSAGE_BYTES,
    v1::{delivery_server::DeliveryServer, gateway_server::GatewayServer},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport,
};

use crate::{delivery::DeliveryService, gateway::GatewayService, publication::Desired};

/// A silent peer is asked after this time whether it is still there,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// and is given up when it has not answered after this one: 15 s together.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most calls of one connection at once.
const MAX_CALLS_OF_CONNECTION: u32 = 64;
/// How long peers may take to let go when the program ends.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the port does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// Whoever reaches the port could read the whole configuration, its secrets included.
    #[error("{address} can be reached from other machines: set APIGW_ADMIN_KEY, or listen on 127.0.0.1")]
    Unguarded { address: ListenAddress },
    /// The system does not give it.
    #[error("cannot listen on {address}")]
    Listen { address: ListenAddress, source: io::Error },
}

/// A bound port, not served yet.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    door: Door,
}

impl Server {
    /// Binds an address. One that other machines can reach needs a key.
    pub(crate) async fn bind(address: ListenAddress, key: Option<AdminKey>) -> Result<Self, BindError> {
        if key.is_none() && !address.is_loopback() {
            return Err(BindError::Unguarded { address });
        }
        let bound = async {
            let listener = match address.address() {
                Some(ip) => TcpListener::bind((ip, address.port())).await?,
                None => bind_everywhere(address.port()).await?,
            };
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, bound) = bound.await.map_err(|source| BindError::Listen { address, source })?;
        Ok(Self { listener, address: bound, door: Door(key) })
    }

    /// Where it listens; the port is the real one.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until nothing is published any more and the calls under way have ended, which they have [`STOP_TIMEOUT`]
    /// for.
    pub(crate) async fn serve(
        self,
        delivery: DeliveryService,
        gateway: GatewayService,
        desired: watch::Receiver<Desired>,
    ) -> Result<(), transport::Error> {
        let delivery = DeliveryServer::new(delivery)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let gateway = GatewayServer::new(gateway)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let serving = transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_concurrent_streams(MAX_CALLS_OF_CONNECTION)
            .tcp_nodelay(true)
            .add_service(InterceptedService::new(delivery, self.door.clone()))
            .add_service(InterceptedService::new(gateway, self.door))
            .serve_with_incoming_shutdown(TcpListenerStream::new(self.listener), closed(desired.clone()));
        let patience = async {
            closed(desired).await;
            tokio::time::sleep(STOP_TIMEOUT).await;
        };
        tokio::select! {
            served = serving => served,
            () = patience => Ok(()),
        }
    }
}

/// Waits until the publisher is gone.
async fn closed(mut desired: watch::Receiver<Desired>) {
    while desired.changed().await.is_ok() {}
}

/// Every interface: both families where the machine has both.
async fn bind_everywhere(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((IpAddr::from(Ipv6Addr::UNSPECIFIED), port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), port)).await
        }
        bound => bound,
    }
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

    #[tokio::test]
    async fn an_address_others_can_reach_needs_a_key() {
        for open in [":0", "0.0.0.0:0", "[::]:0"] {
            let refused = Server::bind(open.parse().unwrap(), None).await;
            assert!(matches!(refused, Err(BindError::Unguarded { .. })), "{open}");
        }
        assert!(Server::bind("0.0.0.0:0".parse().unwrap(), Some(key())).await.is_ok());
        assert!(Server::bind("127.0.0.1:0".parse().unwrap(), None).await.is_ok());
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
