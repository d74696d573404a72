//! Where requests go: upstreams, and the backends whose endpoints they are.

/// Which endpoint a request goes to.
mod choice;

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use apigw_config::{
    model::{self, BackendTls, Protocol},
    names::{BackendName, Scheme, UpstreamHost, UpstreamUrl},
};
use http::HeaderValue;

pub use self::choice::Affinity;
use self::choice::AffinityRules;
pub(super) use self::choice::{balance_by, key_of};
use crate::{
    balance::{Balanced, Sessions},
    endpoint::{BackendState, EndpointState, EndpointUse, OutlierRules},
};

/// Identity of an upstream's connections and addresses: as long as anything uses that scheme, host and port, in that backend
/// and by its settings, or may do so again. Never used twice; the default is no upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct UpstreamId(pub(super) u64);

/// Identity of a choice, among the endpoints of a backend or the backends of a route, as it was compiled: what was remembered
/// of its turns is of no use to another one. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChoiceId(pub(super) u64);

/// A place to open connections to, shared by the routes that name it.
#[derive(Debug)]
pub struct Upstream {
    /// Identity of its state.
    pub id: UpstreamId,
    /// How bytes travel.
    pub scheme: Scheme,
    /// An address, a name or a socket file.
    pub host: UpstreamHost,
    /// TCP port; 0 of a socket file.
    pub port: u16,
    /// The name whose address it is; none: the host is what the configuration says.
    pub host_name: Option<Arc<str>>,
    /// The `Host` it sees.
    pub authority: HeaderValue,
    /// The backend whose endpoint it is; none: a route names its URL.
    pub backend: Option<BackendName>,
    /// What is spoken to it.
    pub protocol: Protocol,
    /// How it is judged and what it is shown in TLS; none: by the machine's authorities, and nothing.
    pub tls: Option<Arc<BackendTls>>,
}

/// What makes two URLs the same upstream. Settings are a part of it: what was opened under others must not be used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct UpstreamKey {
    scheme: Scheme,
    host: UpstreamHost,
    host_name: Option<Arc<str>>,
    port: u16,
    /// None: it has no name.
    backend: Option<BackendName>,
    protocol: Protocol,
    tls: Option<Arc<BackendTls>>,
}

#[cfg(test)]
impl ChoiceId {
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
impl Upstream {
    /// That nothing uses.
    pub(crate) fn of(url: &UpstreamUrl) -> Self {
        Self::new(url, &UpstreamKey::of_url(url), UpstreamId::default())
    }
}

impl UpstreamKey {
    /// Of a URL that a route names.
    pub(super) fn of_url(url: &UpstreamUrl) -> Self {
        Self {
            scheme: url.scheme(),
            host: url.host().clone(),
            host_name: url.name().cloned(),
            port: url.port(),
            backend: None,
            protocol: Protocol::default(),
            tls: None,
        }
    }

    /// Of an endpoint of a backend.
    pub(super) fn of_endpoint(endpoint: &model::Endpoint, backend: &model::Backend) -> Self {
        Self {
            backend: Some(backend.name().clone()),
            protocol: backend.protocol,
            tls: backend.tls().cloned().map(Arc::new),
            ..Self::of_url(&endpoint.url)
        }
    }

    /// Whether the machine's authorities vouch for it.
    pub(super) fn needs_platform_roots(&self) -> bool {
        let has_own = self.tls.as_ref().is_some_and(|tls| tls.ca_file.is_some());
        self.scheme == Scheme::Https && !has_own
    }
}

impl Upstream {
    pub(super) fn new(url: &UpstreamUrl, key: &UpstreamKey, id: UpstreamId) -> Self {
        let authority = HeaderValue::from_str(&url.authority())
            .expect("an upstream's host holds only letters, digits and -_.:[]");
        let UpstreamKey { scheme, host, host_name, port, backend, protocol, tls } = key.clone();
        Self { id, scheme, host, port, host_name, authority, backend, protocol, tls }
    }

    /// As logs have it: its host and port, or its socket file.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self.name_bytes() {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        }
    }

    /// The bytes of the name, for whoever need not see that they are text.
    #[must_use]
    pub fn name_bytes(&self) -> Cow<'_, [u8]> {
        match &self.host {
            UpstreamHost::Unix(path) => path.to_string().into_bytes().into(),
            // Which of the name's addresses it is.
            UpstreamHost::Address(address) if self.host_name.is_some() => {
                SocketAddr::new(*address, self.port).to_string().into_bytes().into()
            }
            UpstreamHost::Address(_) | UpstreamHost::Name(_) => self.authority.as_bytes().into(),
        }
    }

    /// By which every data plane knows it.
    fn location(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    fn is_at(&self, other: &Self) -> bool {
        (self.scheme, self.port) == (other.scheme, other.port) && self.host == other.host
    }
}

/// An endpoint of a backend.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where it is.
    pub upstream: Arc<Upstream>,
    /// None: its backend has no name, so nobody could ask.
    pub state: Option<Arc<EndpointState>>,
    /// By what it is left out that fails requests; none: it is not.
    pub rules: Option<OutlierRules>,
}

impl Endpoint {
    /// Notes that a request goes there, until what is returned is dropped; none: nobody wants to know.
    #[must_use]
    pub fn begin(&self) -> Option<EndpointUse> {
        self.state.as_ref().map(|state| state.begin(self.rules))
    }
}

/// What a route sends its requests to: endpoints that do the same work. A URL that a route names is a backend without a name.
#[derive(Debug)]
pub struct Backend {
    name: Option<BackendName>,
    base_path: Arc<str>,
    endpoints: Endpoints,
    /// By what of a request it is found that has an endpoint already; none: by nothing.
    affinity: Option<Box<AffinityRules>>,
    /// What its endpoints have in common; none: it has no name, so nobody could ask.
    state: Option<Arc<BackendState>>,
}

#[derive(Debug)]
enum Endpoints {
    /// Most routes have one, and pay for no choice.
    One(Endpoint),
    Several {
        id: ChoiceId,
        balanced: Balanced,
        endpoints: Box<[Endpoint]>,
        state: Arc<BackendState>,
    },
}

impl Backend {
    /// One endpoint without a name.
    pub(super) fn of_url(url: &UpstreamUrl, upstream: Arc<Upstream>) -> Self {
        let endpoints = Endpoints::One(Endpoint { upstream, state: None, rules: None });
        Self { name: None, base_path: url.base_path().into(), endpoints, affinity: None, state: None }
    }

    /// A backend whose endpoints have these upstreams, with the state of those that the previous one had already.
    pub(super) fn named(
        config: &model::Backend,
        id: ChoiceId,
        upstreams: Vec<Arc<Upstream>>,
        previous: Option<&Self>,
    ) -> Self {
        let common = previous.and_then(|previous| previous.state.clone()).unwrap_or_default();
        let working = config.endpoints().iter().filter(|endpoint| !endpoint.drains).count();
        let rules = config.health.outlier.map(|settings| OutlierRules { settings, endpoints: working });
        let endpoint = |(upstream, config): (Arc<Upstream>, &model::Endpoint)| {
            let known = previous.map_or(&[][..], Self::endpoints);
            let known = known.iter().find(|known| known.upstream.is_at(&upstream));
            let state = known.and_then(|known| known.state.clone());
            let state = state.unwrap_or_else(|| {
                let common = Arc::clone(&common);
                Arc::new(if previous.is_none() {
                    EndpointState::new(common)
                } else {
                    EndpointState::joining(common)
                })
            });
            Endpoint { upstream, state: Some(state), rules: if config.drains { None } else { rules } }
        };
        let mut endpoints: Vec<_> = upstreams.into_iter().zip(config.endpoints()).map(endpoint).collect();
        // By the URL as it would be written by anybody.
        let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.upstream.location()).collect();
        let weights = config.endpoints().iter().map(model::Endpoint::weight_in_choice);
        let weighted = names.iter().map(String::as_str).zip(weights);
        let places = names.iter().map(String::as_str);
        let sessions = config.session_cookie.as_ref();
        let sessions = sessions.map(|cookie| Sessions::new(cookie, config.name(), places));
        let affinity = AffinityRules::new(config, sessions).map(Box::new);
        let endpoints = match endpoints.len() {
            1 => Endpoints::One(endpoints.remove(0)),
            _ => Endpoints::Several {
                id,
                balanced: Balanced::new(&config.balance, weighted),
                endpoints: endpoints.into(),
                state: Arc::clone(&common),
            },
        };
        let (name, base_path) = (Some(config.name().clone()), config.base_path().into());
        Self { name, base_path, endpoints, affinity, state: Some(common) }
    }

    /// Its name; none: a route names its one endpoint by a URL.
    #[must_use]
    pub fn name(&self) -> Option<&BackendName> {
        self.name.as_ref()
    }

    /// What stands before every path sent: empty, or a path that starts with `/` and does not end in it.
    #[must_use]
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// At least one, in the order of the file.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        match &self.endpoints {
            Endpoints::One(endpoint) => std::slice::from_ref(endpoint),
            Endpoints::Several { endpoints, .. } => endpoints,
        }
    }

    /// What its endpoints have in common; none: it has no name.
    #[must_use]
    pub fn state(&self) -> Option<&BackendState> {
        self.state.as_deref()
    }

    /// Whether no endpoint is well, so that each is given requests that does not drain.
    #[must_use]
    pub fn is_unguided(&self) -> bool {
        match &self.endpoints {
            Endpoints::One(endpoint) => endpoint.share() == 0,
            Endpoints::Several { balanced, endpoints, state, .. } => {
                // Most of the time one number says it.
                !state.is_whole() && balanced.reduced(|index| endpoints[index].share()).is_none()
            }
        }
    }

    /// What its endpoints' turns are remembered under; none: it has one only.
    pub(super) fn id(&self) -> Option<ChoiceId> {
        match &self.endpoints {
            Endpoints::One(_) => None,
            Endpoints::Several { id, .. } => Some(*id),
        }
    }
}
