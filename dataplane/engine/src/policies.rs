//! A route's policies, made ready: one slot for each, in the order in which a request meets them.
//!
//! A slot is empty when the file does not ask for the policy or has it switched off. State that must outlive a snapshot
//! is carried over from the same route of the previous one: places that are taken always, a breaker while its settings
//! stay. Buckets of rate limits need no carrying; see [`rate_limit`](crate::rate_limit).

use std::{net::IpAddr, sync::Arc, time::Duration};

use apigw_config::{
    model::{self, AddressLists, Timeouts},
    names::PolicyMode,
};

use crate::{
    access::AccessRules,
    address_list::{AddressList, AddressRefusal},
    circuit_breaker::{Breaker, BreakerSettings, Call, Open},
    concurrency::{Full, InFlight, Permit},
    cors::Cors,
    jwt::providers::Providers,
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
    /// How many requests it takes from one caller.
    pub rate_limit: Option<Policy<RouteLimit>>,
    /// How many requests it takes at once.
    pub concurrency: Option<Policy<Places>>,
    /// Whether its upstream is well.
    pub breaker: Option<Policy<Arc<Breaker>>>,
    /// How long it waits; none: as the settings say.
    pub timeouts: Option<Timeouts>,
    /// When its requests are sent once more; none: where the upstream has not looked at them.
    pub retry: Option<RetryRules>,
}

/// A limit of requests under way, and those that are.
#[derive(Debug)]
pub struct Places {
    /// The limit, above 0.
    pub max_in_flight: u32,
    /// What is under way.
    pub in_flight: Arc<InFlight>,
}

impl Policies {
    /// Makes a route's policies ready, with the state of the same route in the previous snapshot.
    pub(crate) fn new(route: &model::Route, providers: &Providers, previous: Option<&Self>) -> Self {
        Self {
            addresses: AddressPolicy::new(&route.address_lists),
            cors: route.cors.as_ref().and_then(|cors| Policy::new(cors.mode, || Cors::new(cors))),
            access: access(route, providers),
            rate_limit: route.rate_limit.as_ref().and_then(|limit| {
                let rules = RouteLimit::new(&route.name, limit)?;
                Policy::new(limit.mode(), || rules)
            }),
            concurrency: concurrency(route.concurrency, previous),
            breaker: route.circuit_breaker.as_ref().and_then(|breaker| self::breaker(breaker, previous)),
            retry: route
                .retry
                .as_ref()
                .map(|config| RetryRules::new(config, previous.and_then(|previous| previous.retry.as_ref()))),
            timeouts: Some(route.timeouts).filter(|timeouts| !timeouts.is_empty()),
        }
    }
}

impl Policies {
    /// Whether a route with these is as one without any.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { addresses, cors, access, rate_limit, concurrency, breaker, timeouts, retry } = self;
        let judges = addresses.0.is_some()
            || cors.is_some()
            || access.is_some()
            || rate_limit.is_some()
            || concurrency.is_some()
            || breaker.is_some();
        !judges && timeouts.is_none() && retry.is_none()
    }
}

fn access(route: &model::Route, providers: &Providers) -> Option<Policy<AccessRules>> {
    if !route.auth_required {
        return None;
    }
    let mode = route.auth.as_ref().map_or(PolicyMode::Enforce, |auth| auth.mode);
    Policy::new(mode, || AccessRules::new(route.auth.as_ref(), providers))
}

fn concurrency(config: model::Concurrency, previous: Option<&Policies>) -> Option<Policy<Places>> {
    let max_in_flight = config.max_in_flight;
    if max_in_flight == 0 {
        return None;
    }
    let known = previous.and_then(|previous| previous.concurrency.as_ref());
    Policy::new(config.mode, || Places {
        max_in_flight,
        in_flight: known.map_or_else(Arc::default, |known| Arc::clone(&known.rules().in_flight)),
    })
}

fn breaker(config: &model::CircuitBreaker, previous: Option<&Policies>) -> Option<Policy<Arc<Breaker>>> {
    let settings = BreakerSettings::new(config)?;
    let known = previous.and_then(|previous| previous.breaker.as_ref()).map(Policy::rules);
    let known = known.filter(|known| *known.settings() == settings);
    Policy::new(config.mode(), || known.map_or_else(|| Arc::new(Breaker::new(settings)), Arc::clone))
}

impl Places {
    /// Takes a place.
    ///
    /// # Errors
    /// When there is none.
    pub fn admit(&self) -> Result<Permit, Full> {
        self.in_flight.try_acquire(self.max_in_flight)
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
