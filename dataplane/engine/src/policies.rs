//! A route's policies, made ready: one slot for each, in the order in which a request meets them.
//!
//! A slot is empty when the file does not ask for the policy or has it switched off. State that must outlive a snapshot
//! is carried over from the same route of the previous one: places that are taken always, a breaker while its settings
//! stay. Buckets of rate limits need no carrying; see [`rate_limit`](crate::rate_limit).

use std::{net::IpAddr, sync::Arc, time::Duration};

use apigw_config::{
    model::{self, AddressLists, Timeouts},
    names::{AuthMethod, PolicyMode},
};

use crate::{
    access::{AccessRules, Sources},
    address_list::{AddressList, AddressRefusal},
    callers::{external::Service, methods::Methods},
    circuit_breaker::{Breaker, BreakerSettings, Call, Open},
    compression::CompressionRules,
    concurrency::{
        Full, InFlight, Permit,
        adaptive::{Adaptive, Lesson},
    },
    cors::Cors,
    mode::{JudgedMode, Passage, Policy},
    rate_limit::RouteLimit,
    retry::RetryRules,
};

/// The policies of one route.
#[derive(Debug, Default)]
pub struct Policies {
    /// From where requests are taken.
    pub addresses: AddressPolicy,
    /// Whether pages of other origins may use it.
    pub cors: Option<Policy<Cors>>,
    /// Which callers it serves.
    pub access: Option<Policy<AccessRules>>,
    /// Which credentials no upstream is shown, where that policy is off; none: those that are good for the upstream.
    pub kept_back: Option<Box<Methods>>,
    /// How many requests it takes from one caller.
    pub rate_limit: Option<Policy<RouteLimit>>,
    /// How many requests it takes at once.
    pub concurrency: Option<Policy<Places>>,
    /// Whether its upstream is well.
    pub breaker: Option<Policy<Arc<Breaker>>>,
    /// How long it waits; none: as the settings say.
    pub timeouts: Option<Timeouts>,
    /// When its requests are sent more than once; none: where the upstream has not looked at them.
    pub retry: Option<RetryRules>,
    /// Which of its answers are compressed; none: as they come.
    pub compression: Option<CompressionRules>,
}

/// A limit of requests under way, and those that are.
#[derive(Debug)]
pub struct Places {
    /// How many there may be.
    pub limit: PlacesLimit,
    /// What is under way.
    pub in_flight: Arc<InFlight>,
    /// What is under way beyond the limit: in shadow, who is refused a place goes on without one. Apart, so that judgements are
    /// those of a limit that holds.
    beyond: Arc<InFlight>,
}

/// How many requests may be under way.
#[derive(Debug)]
pub enum PlacesLimit {
    /// What the file says, above 0.
    Given(u32),
    /// What the upstream bears.
    Found(Arc<Adaptive>),
}

/// A request's place.
#[derive(Debug)]
pub struct Place {
    /// Held until the exchange ends.
    pub permit: Permit,
    /// What its answer is to tell the limit; none: the limit is given.
    pub lesson: Option<Lesson>,
}

impl Policies {
    /// Makes a route's policies ready, with the state of the same route in the previous snapshot.
    pub(crate) fn new(
        route: &model::Route,
        sources: Sources<'_>,
        service: Option<Service>,
        previous: Option<&Self>,
    ) -> Self {
        Self {
            addresses: AddressPolicy::new(&route.address_lists),
            cors: route.cors.as_ref().and_then(|cors| Policy::new(cors.mode, || Cors::new(cors))),
            access: access(route, sources, service),
            kept_back: kept_back(route, sources),
            rate_limit: route.rate_limit.as_ref().and_then(|limit| {
                let rules = RouteLimit::new(&route.name, limit)?;
                Policy::new(limit.mode(), || rules)
            }),
            concurrency: concurrency(route.concurrency, previous),
            breaker: route.circuit_breaker.as_ref().and_then(|breaker| self::breaker(breaker, previous)),
            retry: RetryRules::new(route, previous.and_then(|previous| previous.retry.as_ref())),
            timeouts: Some(route.timeouts).filter(|timeouts| !timeouts.is_empty()),
            compression: route.compression.as_deref().map(CompressionRules::from),
        }
    }
}

impl Policies {
    /// The service that is asked; none: none is.
    pub(crate) fn service(&self) -> Option<&Service> {
        self.access.as_ref()?.rules().methods()?.service()
    }

    /// Whether a route with these is as one without any.
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            addresses,
            cors,
            access,
            kept_back,
            rate_limit,
            concurrency,
            breaker,
            timeouts,
            retry,
            compression,
        } = self;
        let judges = addresses.0.is_some()
            || cors.is_some()
            || access.is_some()
            || rate_limit.is_some()
            || concurrency.is_some()
            || breaker.is_some();
        !judges && kept_back.is_none() && timeouts.is_none() && retry.is_none() && compression.is_none()
    }
}

fn access(
    route: &model::Route,
    sources: Sources<'_>,
    service: Option<Service>,
) -> Option<Policy<AccessRules>> {
    if !route.auth_required {
        return None;
    }
    let mode = route.auth.as_ref().map_or(PolicyMode::Enforce, |auth| auth.mode);
    Policy::new(mode, || AccessRules::new(route.auth.as_ref(), sources, service))
}

/// What to keep back where nobody is asked who he is: a password for the gateway stays one while the policy is off.
fn kept_back(route: &model::Route, sources: Sources<'_>) -> Option<Box<Methods>> {
    let auth = route.auth.as_ref().filter(|auth| route.auth_required && auth.mode == PolicyMode::Off)?;
    let takes_passwords = auth.methods().contains(&AuthMethod::Basic);
    let methods = Methods::new(auth, sources.files, None).filter(|_| takes_passwords);
    methods.map(Box::new)
}

/// The service that is asked about a route's requests; none: none is.
pub(crate) fn asked_service(route: &model::Route) -> Option<&model::ExternalAuth> {
    let auth = route.auth.as_ref().filter(|auth| route.auth_required && auth.mode != PolicyMode::Off)?;
    auth.external.as_deref()
}

fn concurrency(config: model::Concurrency, previous: Option<&Policies>) -> Option<Policy<Places>> {
    let known = previous.and_then(|previous| previous.concurrency.as_ref()).map(Policy::rules);
    let found = |bounds| {
        let known = known.and_then(Places::adaptive).filter(|known| known.bounds() == bounds);
        PlacesLimit::Found(known.map_or_else(|| Arc::new(Adaptive::new(bounds)), Arc::clone))
    };
    let limit = match (config.adaptive, config.max_in_flight) {
        (Some(bounds), _) => found(bounds),
        (None, 0) => return None,
        (None, max_in_flight) => PlacesLimit::Given(max_in_flight),
    };
    Policy::new(config.mode, || Places {
        limit,
        in_flight: known.map_or_else(Arc::default, |known| Arc::clone(&known.in_flight)),
        beyond: known.map_or_else(Arc::default, |known| Arc::clone(&known.beyond)),
    })
}

fn breaker(config: &model::CircuitBreaker, previous: Option<&Policies>) -> Option<Policy<Arc<Breaker>>> {
    let settings = BreakerSettings::new(config)?;
    let known = previous.and_then(|previous| previous.breaker.as_ref()).map(Policy::rules);
    let known = known.filter(|known| *known.settings() == settings);
    Policy::new(config.mode(), || known.map_or_else(|| Arc::new(Breaker::new(settings)), Arc::clone))
}

impl Places {
    /// How many there are now.
    #[must_use]
    pub fn max_in_flight(&self) -> u32 {
        match &self.limit {
            PlacesLimit::Given(max_in_flight) => *max_in_flight,
            PlacesLimit::Found(adaptive) => adaptive.limit(),
        }
    }

    /// What finds the limit; none: it is given.
    #[must_use]
    pub fn adaptive(&self) -> Option<&Arc<Adaptive>> {
        match &self.limit {
            PlacesLimit::Given(_) => None,
            PlacesLimit::Found(adaptive) => Some(adaptive),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// When there is none.
    pub fn admit(&self, now: Duration) -> Result<Place, Full> {
        let permit = self.in_flight.try_acquire(self.max_in_flight())?;
        Ok(Place { permit, lesson: self.adaptive().map(|adaptive| adaptive.begin(now)) })
    }

    /// A place beyond the limit, for a request that goes on although it was refused one. It teaches the limit nothing: in earnest
    /// there would be no answer.
    #[must_use]
    pub fn beyond(&self) -> Place {
        Place { permit: self.beyond.enter(), lesson: None }
    }

    /// How many requests are under way, whether they have places or not.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.in_flight.in_flight() + self.beyond.in_flight()
    }
}

/// A call of an upstream, admitted by its route's breaker.
pub type AdmittedCall = Call<Arc<Breaker>>;

/// Asks a route's breaker, as [`Breaker::admit`] does, for a call that may outlive the snapshot.
///
/// # Errors
/// When the call may not be made.
pub fn admit_call(breaker: &Arc<Breaker>, now: Duration) -> Result<AdmittedCall, Open> {
    Breaker::admit(Arc::clone(breaker), now)
}

/// Address lists and what follows from their judgement. None: they are off, or there are none.
#[derive(Debug, Default)]
pub struct AddressPolicy(Option<Policy<AddressList>>);

impl AddressPolicy {
    pub(crate) fn new(lists: &AddressLists) -> Self {
        let AddressLists { allow, deny, mode } = lists;
        if allow.is_empty() && deny.is_empty() {
            return Self(None);
        }
        Self(Policy::new(*mode, || AddressList::new(allow, deny)))
    }

    /// What follows from its judgements; none: nobody is judged.
    #[must_use]
    pub fn mode(&self) -> Option<JudgedMode> {
        self.0.as_ref().map(Policy::mode)
    }

    /// Judges a client's address, whatever follows.
    ///
    /// # Errors
    /// When it may not.
    pub fn judge(&self, client: IpAddr) -> Result<(), AddressRefusal> {
        self.0.as_ref().map_or(Ok(()), |policy| policy.rules().admit(client))
    }

    /// Judges a client's address.
    ///
    /// # Errors
    /// When it may not, and the lists are enforced.
    pub fn admit(&self, client: IpAddr) -> Result<Passage<(), AddressRefusal>, AddressRefusal> {
        match &self.0 {
            Some(policy) => policy.apply(self.judge(client)),
            None => Ok(Passage::Admitted(())),
        }
    }
}
