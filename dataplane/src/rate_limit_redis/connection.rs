//! A connection to one server or a cluster, and the one command sent on it. The only module that knows the `redis`
//! library. It has no deadline of its own but for connecting; whoever asks has.

use std::time::Duration;

use apigw_config::{
    model::{RedisBackend, RedisTransport},
    names::ServerAddress,
};
use apigw_engine::rate_limit::redis_script::{RedisKey, SCRIPT, SCRIPT_SHA1, ScriptArguments};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo, RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
};
use tokio::time::timeout;

use super::{Failure, MAX_IN_FLIGHT, PATIENCE, Roots, overdue};

/// For making a connection to one server, with TLS, AUTH and SELECT.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// For learning a cluster's shape and connecting to all of its servers, of which one or the other may not answer.
const CLUSTER_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the library follows a cluster that has moved a key, before it gives up.
const CLUSTER_RETRIES: u32 = 3;

/// Why no connection can be made, or was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot use the settings of the rate limit server")]
    Settings(#[source] RedisError),
    #[error("cannot connect to the rate limit server")]
    Connect(#[source] RedisError),
    #[error("no connection to the rate limit server in time")]
    Timeout,
}

impl ConnectError {
    /// What a person needs to know; holds no password.
    pub(crate) fn cause(&self) -> &dyn std::fmt::Display {
        match self {
            Self::Settings(error) | Self::Connect(error) => error,
            Self::Timeout => self,
        }
    }
}

/// Makes connections.
pub(super) enum Client {
    Single(Box<redis::Client>),
    Cluster(Box<ClusterClient>),
}

/// A connection that many may use at once.
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// The script with its key and arguments.
pub(super) struct Command {
    key: String,
    numbers: [u64; 3],
}

impl Client {
    pub(super) fn new(backend: &RedisBackend, roots: &Roots) -> Result<Self, ConnectError> {
        // TLS needs to be told once for all whose cryptography it uses. Somebody else may have done so.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let certificates = match (backend.transport, roots) {
            (RedisTransport::Tls, Roots::Pem(pem)) => Some(pem.clone()),
            (RedisTransport::Tls, Roots::Platform) | (RedisTransport::Plain, _) => None,
        };
        let certificates = certificates.map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem) });
        let mut nodes = backend.servers.addresses().iter().map(|server| node(server, backend));
        let client = if backend.servers.is_cluster() {
            let builder = ClusterClient::builder(nodes)
                .retries(CLUSTER_RETRIES)
                .connection_timeout(CONNECT_TIMEOUT)
                .response_timeout(PATIENCE)
                .tcp_settings(tcp_settings());
            let builder = match certificates {
                Some(certificates) => builder.certs(certificates),
                None => builder,
            };
            builder.build().map(|client| Self::Cluster(Box::new(client)))
        } else {
            let node = nodes.next().expect("there is at least one server");
            match certificates {
                Some(certificates) => redis::Client::build_with_tls(node, certificates),
                None => redis::Client::open(node),
            }
            .map(|client| Self::Single(Box::new(client)))
        };
        client.map_err(ConnectError::Settings)
    }

    pub(super) async fn connect(&self) -> Result<Connection, ConnectError> {
        let connected = match self {
            Self::Single(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(None)
                    .set_response_timeout(None)
                    .set_pipeline_buffer_size(MAX_IN_FLIGHT);
                let connecting = client.get_multiplexed_async_connection_with_config(&config);
                timeout(CONNECT_TIMEOUT, connecting).await.map(|connected| connected.map(Connection::Single))
            }
            Self::Cluster(client) => {
                let connecting = client.get_async_connection();
                let connected = timeout(CLUSTER_CONNECT_TIMEOUT, connecting).await;
                connected.map(|connected| connected.map(Connection::Cluster))
            }
        };
        connected.map_err(|_| ConnectError::Timeout)?.map_err(ConnectError::Connect)
    }
}

impl Connection {
    /// Into how many parts the servers are seen divided.
    pub(super) fn parts(&self) -> u16 {
        match self {
            Self::Single(_) => 1,
            Self::Cluster(_) => overdue::CLUSTER_PARTS,
        }
    }

    /// Whether one server's failure leaves others that answer.
    pub(super) fn is_of_several(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Has the script run. A server that does not know it yet, or has forgotten it, is told it.
    pub(super) async fn evaluate(&self, command: &Command) -> Result<(i64, i64), Failure> {
        let answer = match self.send(&command.by_hash()).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&command.with_script()).await
            }
            answer => answer,
        };
        answer.map_err(failure)
    }

    async fn send(&self, command: &Cmd) -> Result<(i64, i64), RedisError> {
        let value = match self {
            Self::Single(connection) => connection.clone().req_packed_command(command).await,
            Self::Cluster(connection) => connection.clone().req_packed_command(command).await,
        };
        let value = value.and_then(redis::Value::extract_error)?;
        Ok(<(i64, i64)>::from_redis_value(value)?)
    }
}

impl Command {
    pub(super) fn new(key: &RedisKey, arguments: &ScriptArguments) -> Self {
        Self { key: key.as_str().to_owned(), numbers: arguments.numbers() }
    }

    fn by_hash(&self) -> Cmd {
        self.complete(redis::cmd("EVALSHA").arg(SCRIPT_SHA1))
    }

    fn with_script(&self) -> Cmd {
        self.complete(redis::cmd("EVAL").arg(SCRIPT))
    }

    fn complete(&self, command: &mut Cmd) -> Cmd {
        const KEYS: u8 = 1;
        command.arg(KEYS).arg(&self.key).arg(&self.numbers).clone()
    }
}

/// What an error means to who asked. A server that says no is there; a replica that was a master, or a server that
/// wants a password, will say no for ever, so another connection must be made.
fn failure(error: RedisError) -> Failure {
    let is_answer = matches!(error.kind(), ErrorKind::Server(kind) if kind != ServerErrorKind::ReadOnly)
        || error.kind() == ErrorKind::Extension;
    if is_answer && error.code() != Some("NOAUTH") {
        Failure::Refused(error)
    } else {
        Failure::ConnectionLost(error)
    }
}

fn node(server: &ServerAddress, backend: &RedisBackend) -> ConnectionInfo {
    let (host, port) = server.as_str().rsplit_once(':').expect("a server's address has a port");
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = port.parse().expect("a server's port is one");
    let address = match backend.transport {
        RedisTransport::Plain => ConnectionAddr::Tcp(host, port),
        RedisTransport::Tls => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
    };
    let database = i64::from(backend.servers.database());
    let mut login = RedisConnectionInfo::default().set_db(database).set_skip_set_lib_name();
    if let Some(credentials) = &backend.credentials {
        login = login.set_password(credentials.password.reveal());
        if let Some(user) = &credentials.username {
            login = login.set_username(user);
        }
    }
    let info = address.into_connection_info().expect("an address is enough for a connection");
    info.set_redis_settings(login).set_tcp_settings(tcp_settings())
}

/// A question is one small write, and is not to wait for the answer to the one before.
fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Connection::Single",
            Self::Cluster(_) => "Connection::Cluster",
        })
    }
}
