//! `backends`: named sets of endpoints that do the same work.

/// Names whose addresses are endpoints.
mod addresses;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    str::FromStr,
    sync::Arc,
};

use super::{CertificateFiles, Health, SessionCookie};
use crate::names::{
    BackendName, CookieName, FilePath, HeaderName, Scheme, Span, UpstreamHost, UpstreamUrl, ValueError,
    Weight,
};

/// One entry of `backends`.
#[derive(Debug, Clone, PartialEq)]
pub struct Backend {
    name: BackendName,
    endpoints: Vec<Endpoint>,
    tls: Option<BackendTls>,
    /// Which endpoint takes a request.
    pub balance: Balance,
    /// What is spoken to them.
    pub protocol: Protocol,
    /// How it is found out which of them can be sent requests.
    pub health: Health,
    /// How long one that comes or returns takes until it has all of its share.
    pub slow_start: Span,
    /// What keeps clients with their endpoints; none: nothing does.
    pub session_cookie: Option<SessionCookie>,
}

/// One entry of `endpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub url: UpstreamUrl,
    /// Its share of the requests.
    pub weight: Weight,
    /// Whether it is given no new requests, so that it can be taken away when those under way have ended.
    pub drains: bool,
    /// What it is where its URL has a name.
    pub resolution: Resolution,
}

/// What an endpoint is whose URL has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolution {
    /// One endpoint, however many addresses the name has.
    #[default]
    Together,
    /// An endpoint for each address.
    Each,
}

/// Which endpoint takes a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Balance {
    /// Each in its turn, as often as its weight says.
    #[default]
    RoundRobin,
    /// Of two that chance chooses, the one with fewer requests for its weight.
    LeastRequests,
    /// The same one for the same key, as long as it is there.
    Hash(HashKey),
}

/// What the endpoint of a request is found by, or its backend. Of a request without it the next one is whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// The value of a header field.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(CookieName),
    /// The client's address.
    Ip,
}

impl HashKey {
    /// Puts together what a file says in several keys.
    ///
    /// # Errors
    /// When they name nothing, or several things.
    pub fn one_of(
        header: Option<HeaderName>,
        cookie: Option<CookieName>,
        address: ClientAddress,
    ) -> Result<Self, ValueError> {
        let mut keys = Self::all_of(header, cookie, address);
        keys.next().filter(|_| keys.next().is_none()).ok_or(ValueError::NotOneSplitKey)
    }

    fn all_of(
        header: Option<HeaderName>,
        cookie: Option<CookieName>,
        address: ClientAddress,
    ) -> impl Iterator<Item = Self> {
        let keys = [
            header.map(Self::Header),
            cookie.map(Self::Cookie),
            (address == ClientAddress::Hashed).then_some(Self::Ip),
        ];
        keys.into_iter().flatten()
    }
}

/// The word that names a way to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BalancePolicy {
    /// [`Balance::RoundRobin`].
    #[default]
    RoundRobin,
    /// [`Balance::LeastRequests`].
    LeastRequests,
    /// [`Balance::Hash`].
    Hash,
}

impl Balance {
    /// Puts together what a file says in several keys.
    ///
    /// # Errors
    /// When requests are to be told apart by nothing, or by several things, or a key is there that nothing is told apart by.
    pub fn new(
        policy: BalancePolicy,
        header: Option<HeaderName>,
        cookie: Option<CookieName>,
        address: ClientAddress,
    ) -> Result<Self, ValueError> {
        let mut keys = HashKey::all_of(header, cookie, address);
        match (policy, keys.next(), keys.next()) {
            (BalancePolicy::RoundRobin, None, _) => Ok(Self::RoundRobin),
            (BalancePolicy::LeastRequests, None, _) => Ok(Self::LeastRequests),
            (BalancePolicy::Hash, Some(key), None) => Ok(Self::Hash(key)),
            (BalancePolicy::RoundRobin | BalancePolicy::LeastRequests, Some(_), _) => {
                Err(ValueError::NotHashed)
            }
            (BalancePolicy::Hash, _, _) => Err(ValueError::NotOneHashKey),
        }
    }

    /// The word for it.
    #[must_use]
    pub fn policy(&self) -> BalancePolicy {
        match self {
            Self::RoundRobin => BalancePolicy::RoundRobin,
            Self::LeastRequests => BalancePolicy::LeastRequests,
            Self::Hash(_) => BalancePolicy::Hash,
        }
    }
}

/// Whether an endpoint is found by the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddress {
    /// It is.
    Hashed,
    /// It is not.
    Ignored,
}

/// What is spoken to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: agreed upon in TLS, taken for granted in clear.
    Http2,
}

/// `backends[].tls`: TLS towards its endpoints. Without any of it they are judged as every upstream is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct BackendTls {
    /// Who vouches for them: PEM; none: the machine's authorities.
    pub ca_file: Option<FilePath>,
    /// What they are shown; none: nothing.
    pub certificate: Option<CertificateFiles>,
    /// Who their certificates are for; none: each for the host of its own URL.
    pub server_name: Option<UpstreamHost>,
}

/// What is not legal of a backend as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// Nothing could take a request.
    #[error("at least one endpoint is needed")]
    NoEndpoints,
    /// Whoever drains them all by mistake would refuse every request.
    #[error("every endpoint drains, at least one must take requests")]
    AllDrain,
    /// More than can be chosen from in no time.
    #[error("{count} endpoints, more than {}", Backend::MAX_ENDPOINTS)]
    TooManyEndpoints {
        /// How many.
        count: usize,
    },
    /// One would be given two shares, and two states.
    #[error("the same scheme, host and port as endpoints[{first}]; give that one a higher weight")]
    DuplicateEndpoint {
        /// Index of the first of the two.
        first: usize,
        /// Index of the second.
        second: usize,
    },
    /// The path of a request is made before its endpoint is chosen, for any of them may have to take it.
    #[error(
        "has the path \"{path}\", endpoints[0] has \"{first}\": the endpoints of a backend have the same path"
    )]
    OtherPath {
        /// Index of the endpoint.
        endpoint: usize,
        /// Its path.
        path: String,
        /// That of the first endpoint.
        first: String,
    },
    /// There is nothing to look up.
    #[error("each_address needs a URL with a name")]
    NoName {
        /// Index of the endpoint.
        endpoint: usize,
    },
    /// Certificates are configured and one endpoint would not be asked for any.
    #[error("must be an https URL, as the backend has tls")]
    PlainBesideTls {
        /// Index of the endpoint.
        endpoint: usize,
    },
}

impl BackendError {
    /// Which endpoint has the fault; none: all of them together.
    #[must_use]
    pub fn endpoint(&self) -> Option<usize> {
        match self {
            Self::NoEndpoints | Self::AllDrain | Self::TooManyEndpoints { .. } => None,
            Self::DuplicateEndpoint { second, .. } => Some(*second),
            Self::OtherPath { endpoint, .. }
            | Self::PlainBesideTls { endpoint }
            | Self::NoName { endpoint } => Some(*endpoint),
        }
    }
}

impl Endpoint {
    /// What it counts for when an endpoint is chosen; none: it is not.
    #[must_use]
    pub fn weight_in_choice(&self) -> Option<Weight> {
        (!self.drains).then_some(self.weight)
    }
}

impl Backend {
    /// The most endpoints: choosing looks at each of them.
    pub const MAX_ENDPOINTS: usize = 1_000;

    /// A backend whose endpoints take turns and speak HTTP/1.1.
    ///
    /// # Errors
    /// Everything wrong with the endpoints.
    pub fn new(
        name: BackendName,
        endpoints: Vec<Endpoint>,
        tls: Option<BackendTls>,
    ) -> Result<Self, Vec<BackendError>> {
        let errors = faults(&endpoints, tls.as_ref());
        if !errors.is_empty() {
            return Err(errors);
        }
        let (balance, protocol, health) = Default::default();
        let slow_start = Span::ZERO;
        Ok(Self { name, endpoints, tls, balance, protocol, health, slow_start, session_cookie: None })
    }

    /// Its name, unique in the configuration.
    #[must_use]
    pub fn name(&self) -> &BackendName {
        &self.name
    }

    /// At least one, of which at least one does not drain.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// TLS towards the endpoints; none: as towards every upstream.
    #[must_use]
    pub fn tls(&self) -> Option<&BackendTls> {
        self.tls.as_ref()
    }

    /// What stands before every path sent; that of every endpoint.
    #[must_use]
    pub fn base_path(&self) -> &str {
        self.endpoints.first().map_or("", |endpoint| endpoint.url.base_path())
    }
}

fn faults(endpoints: &[Endpoint], tls: Option<&BackendTls>) -> Vec<BackendError> {
    let mut errors = Vec::new();
    let Some(first_path) = endpoints.first().map(|endpoint| endpoint.url.base_path()) else {
        return vec![BackendError::NoEndpoints];
    };
    if endpoints.len() > Backend::MAX_ENDPOINTS {
        return vec![BackendError::TooManyEndpoints { count: endpoints.len() }];
    }
    if endpoints.iter().all(|endpoint| endpoint.drains) {
        errors.push(BackendError::AllDrain);
    }
    let mut places = HashMap::with_capacity(endpoints.len());
    for (index, Endpoint { url, weight: _, drains: _, resolution }) in endpoints.iter().enumerate() {
        match places.entry((url.scheme(), url.host(), url.port())) {
            Entry::Occupied(first) => {
                errors.push(BackendError::DuplicateEndpoint { first: *first.get(), second: index });
            }
            Entry::Vacant(place) => {
                place.insert(index);
            }
        }
        if url.base_path() != first_path {
            let (path, first) = (url.base_path().to_owned(), first_path.to_owned());
            errors.push(BackendError::OtherPath { endpoint: index, path, first });
        }
        if *resolution == Resolution::Each && !matches!(url.host(), UpstreamHost::Name(_)) {
            errors.push(BackendError::NoName { endpoint: index });
        }
        if tls.is_some() && url.scheme() == Scheme::Http {
            errors.push(BackendError::PlainBesideTls { endpoint: index });
        }
    }
    errors
}

impl fmt::Display for BalancePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoundRobin => "round_robin",
            Self::LeastRequests => "least_requests",
            Self::Hash => "hash",
        })
    }
}

impl FromStr for BalancePolicy {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "round_robin" => Ok(Self::RoundRobin),
            "least_requests" => Ok(Self::LeastRequests),
            "hash" => Ok(Self::Hash),
            _ => {
                let choices = "round_robin, least_requests, hash";
                Err(ValueError::UnknownChoice { choices, text: text.into() })
            }
        }
    }
}

/// Backends that follow each other. A group in the same memory is the same backends.
pub type BackendGroup = Arc<[Arc<Backend>]>;

/// All backends, in the order of the file. A clone shares everything.
#[derive(Debug, Clone, Default)]
pub struct Backends {
    groups: Arc<[BackendGroup]>,
    by_name: Arc<HashMap<BackendName, Arc<Backend>>>,
}

impl Backends {
    /// Their names must be unique; of two with the same one, the later counts.
    pub(super) fn new(groups: Vec<BackendGroup>) -> Self {
        let backends = groups.iter().flat_map(|group| group.iter());
        let by_name = backends.map(|backend| (backend.name.clone(), Arc::clone(backend))).collect();
        Self { groups: groups.into(), by_name: Arc::new(by_name) }
    }

    /// In the order of the file.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Backend>> + Clone {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// The backend of that name.
    #[must_use]
    pub fn find(&self, name: &BackendName) -> Option<&Arc<Backend>> {
        self.by_name.get(name)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether these are the same ones in the same memory.
    #[must_use]
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.by_name, &other.by_name)
    }

    pub(crate) fn groups(&self) -> &[BackendGroup] {
        &self.groups
    }

    pub(super) fn is_made_of(&self, groups: &[BackendGroup]) -> bool {
        self.groups.iter().map(|group| group.as_ptr()).eq(groups.iter().map(|group| group.as_ptr()))
    }
}

impl PartialEq for Backends {
    /// How they are grouped means nothing.
    fn eq(&self, other: &Self) -> bool {
        self.is_shared_with(other) || self.len() == other.len() && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(urls: &[&str], tls: Option<BackendTls>, expected: &[&str]) {
        let endpoint = |url: &&str| Endpoint {
            url: UpstreamUrl::new(url).unwrap(),
            weight: Weight::default(),
            drains: false,
            resolution: Resolution::Together,
        };
        let backend = Backend::new(BackendName::new("a").unwrap(), urls.iter().map(endpoint).collect(), tls);
        let errors = backend.err().unwrap_or_default();
        let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(told, expected, "{urls:?}");
    }

    #[test]
    fn endpoints_are_several_places_with_one_path() {
        check(&["http://a", "https://a", "http://a:81", "http://b"], None, &[]);
        check(&[], None, &["at least one endpoint is needed"]);
        let twice = "the same scheme, host and port as endpoints[0]; give that one a higher weight";
        check(&["http://a", "http://A:80/"], None, &[twice]);
        let other =
            r#"has the path "/y", endpoints[0] has "/x": the endpoints of a backend have the same path"#;
        check(&["http://a/x", "http://b/x/", "http://c/y"], None, &[other]);
    }

    #[test]
    fn nobody_is_spoken_to_in_clear_beside_certificates() {
        let tls = || Some(BackendTls::default());
        check(&["https://a", "https://b"], tls(), &[]);
        check(&["https://a", "http://b"], tls(), &["must be an https URL, as the backend has tls"]);
    }

    #[test]
    fn there_are_so_many_endpoints_and_not_one_more() {
        let urls: Vec<_> = (1..=Backend::MAX_ENDPOINTS + 1).map(|port| format!("http://a:{port}")).collect();
        let urls: Vec<_> = urls.iter().map(String::as_str).collect();
        check(&urls[1..], None, &[]);
        check(&urls, None, &["1001 endpoints, more than 1000"]);
    }
}
