//! Where rate limits are counted. Nothing here counts or connects.

use std::str::FromStr;

use super::PolicyError;
use crate::names::{KeyPrefix, Period, Secret, ServerAddress, ValueError};

/// `rate_limit`: where rate limits are counted.
#[derive(Debug, Clone, PartialEq)]
pub enum RateLimitBackend {
    /// In this data plane.
    Memory(MemoryBackend),
    /// In a Redis server shared by several data planes.
    Redis(RedisBackend),
}

impl Default for RateLimitBackend {
    fn default() -> Self {
        Self::Memory(MemoryBackend::default())
    }
}

/// `rate_limit.memory`.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryBackend {
    /// How often unused keys are swept.
    pub cleanup: Period,
    /// How long an unused key is kept at least.
    pub ttl: Period,
    /// How many keys are remembered at most.
    pub max_keys: MaxKeys,
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self { cleanup: Period::seconds(60), ttl: Period::seconds(300), max_keys: MaxKeys::default() }
    }
}

/// The most keys that the memory backend remembers: 1,000 to 100,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxKeys(u32);

impl MaxKeys {
    /// Takes a number of keys.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn new(keys: u32) -> Result<Self, ValueError> {
        if (1_000..=100_000_000).contains(&keys) {
            Ok(Self(keys))
        } else {
            Err(ValueError::OutOfRange { range: "from 1000 to 100000000" })
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for MaxKeys {
    fn default() -> Self {
        Self(1_000_000)
    }
}

/// `rate_limit.redis`.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisBackend {
    /// Which servers.
    pub servers: RedisServers,
    /// None: none are sent.
    pub credentials: Option<RedisCredentials>,
    /// How bytes travel.
    pub transport: RedisTransport,
    /// For one decision, from asking to having the answer.
    pub timeout: Period,
    /// What becomes of a request when there is no answer in time.
    pub on_failure: RedisFailure,
    /// What every key begins with.
    pub key_prefix: KeyPrefix,
    /// How many keys this data plane remembers at most while it counts for itself (`rate_limit.memory.max_keys`).
    pub local_max_keys: MaxKeys,
}

impl RedisBackend {
    /// The time for one decision where the file names none.
    pub const DEFAULT_TIMEOUT: Period = Period::milliseconds(5);
}

/// The servers that count: one, or a cluster, of which at least one is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisServers(Servers);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Servers {
    Single { address: ServerAddress, database: u32 },
    Cluster(Vec<ServerAddress>),
}

impl RedisServers {
    /// One server and the number of its database.
    ///
    /// # Errors
    /// When there is not exactly one address.
    pub fn single(addresses: Vec<ServerAddress>, database: u32) -> Result<Self, Vec<PolicyError>> {
        match <[ServerAddress; 1]>::try_from(addresses) {
            Ok([address]) => Ok(Self(Servers::Single { address, database })),
            Err(addresses) if addresses.is_empty() => {
                Err(vec![PolicyError { key: "addr", error: ValueError::Empty }])
            }
            Err(_) => Err(vec![PolicyError { key: "addr", error: ValueError::NotACluster }]),
        }
    }

    /// A cluster, by the addresses of some of its servers.
    ///
    /// # Errors
    /// All that is wrong: no address, a database other than 0, which is the only one a cluster has.
    pub fn cluster(addresses: Vec<ServerAddress>, database: u32) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        if addresses.is_empty() {
            errors.push(PolicyError { key: "addr", error: ValueError::Empty });
        }
        if database != 0 {
            let error = ValueError::OutOfRange { range: "0 with a cluster, which has no other" };
            errors.push(PolicyError { key: "db", error });
        }
        if errors.is_empty() { Ok(Self(Servers::Cluster(addresses))) } else { Err(errors) }
    }

    /// Where they answer, at least one.
    #[must_use]
    pub fn addresses(&self) -> &[ServerAddress] {
        match &self.0 {
            Servers::Single { address, .. } => std::slice::from_ref(address),
            Servers::Cluster(addresses) => addresses,
        }
    }

    /// Number of the database; 0 in a cluster.
    #[must_use]
    pub fn database(&self) -> u32 {
        match self.0 {
            Servers::Single { database, .. } => database,
            Servers::Cluster(_) => 0,
        }
    }

    /// Whether they are a cluster.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(self.0, Servers::Cluster(_))
    }
}

/// Who the gateway is to Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisCredentials {
    /// None: the server's default user.
    pub username: Option<String>,
    /// What proves it.
    pub password: Secret,
}

impl RedisCredentials {
    /// Puts together what may be absent.
    ///
    /// # Errors
    /// When there is a user name and no password.
    pub fn new(username: Option<String>, password: Option<Secret>) -> Result<Option<Self>, Vec<PolicyError>> {
        match (username, password) {
            (username, Some(password)) => Ok(Some(Self { username, password })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(vec![PolicyError { key: "password", error: ValueError::Missing }]),
        }
    }
}

/// How bytes travel to Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedisTransport {
    /// Plain TCP.
    #[default]
    Plain,
    /// TLS, with a certificate that the platform's roots vouch for.
    Tls,
}

/// What becomes of a request that Redis gave no answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedisFailure {
    /// It passes.
    Allow,
    /// It is refused.
    Deny,
    /// The memory of this data plane decides.
    #[default]
    Local,
}

impl RedisFailure {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Local => "local",
        }
    }
}

impl FromStr for RedisFailure {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "allow" => Ok(Self::Allow),
            "deny" => Ok(Self::Deny),
            "local" => Ok(Self::Local),
            _ => Err(ValueError::UnknownChoice { choices: "allow, deny, local", text: text.into() }),
        }
    }
}
