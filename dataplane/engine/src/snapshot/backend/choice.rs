//! Which endpoint of a backend takes a request: that of its client's session, or that of its key, or the one whose turn it is.
//!
//! What a request says of that is read once, when it comes, so that its other attempts are judged by the same, whatever its
//! route changes of its fields.

use std::net::IpAddr;

use apigw_config::{
    model::{self, HashKey},
    names::Scheme,
};
use http::HeaderValue;

use super::{Backend, Endpoint, Endpoints, UpstreamId};
use crate::{
    balance::{KeyHash, Sessions, Turns},
    cookies,
    endpoint::{EndpointState, WHOLE},
    fields::Fields,
};

/// By what of a request it is found which endpoint it is for.
#[derive(Debug)]
pub(super) struct AffinityRules {
    /// None: by no key.
    hash_key: Option<HashKey>,
    /// None: clients are not kept with their endpoints.
    sessions: Option<Sessions>,
}

/// What a request says of the endpoint that it is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Affinity {
    /// None: nothing.
    key: Option<KeyHash>,
    /// The index of the endpoint of its client's session; none: it has none, or of an endpoint that is gone.
    session: Option<usize>,
}

impl AffinityRules {
    /// None: whatever a request says, its endpoint is the one whose turn it is.
    pub(super) fn new(config: &model::Backend, sessions: Option<Sessions>) -> Option<Self> {
        let hash_key = match &config.balance {
            model::Balance::Hash(key) if config.endpoints().len() > 1 => Some(key.clone()),
            model::Balance::Hash(_) | model::Balance::RoundRobin | model::Balance::LeastRequests => None,
        };
        (hash_key.is_some() || sessions.is_some()).then_some(Self { hash_key, sessions })
    }
}

impl Endpoint {
    /// What part of its weight it takes, in thousandths.
    pub(super) fn share(&self) -> u32 {
        self.state.as_ref().map_or(WHOLE, |state| state.share())
    }

    /// What part it takes where no endpoint takes any.
    fn last_resort(&self) -> u32 {
        self.state.as_ref().map_or(WHOLE, |state| state.last_resort())
    }

    /// What part it takes where checks speak against all: all of it, unless an operator drains it.
    fn unless_drained(&self) -> u32 {
        if self.state.as_deref().is_some_and(EndpointState::is_drained) { 0 } else { WHOLE }
    }

    /// Whether those whose session it has go on to it.
    fn keeps_sessions(&self) -> bool {
        self.state.as_deref().is_none_or(EndpointState::is_well)
    }
}

/// What each endpoint takes: the first of these holds by which any takes something. Somebody must: checks may be wrong, those that
/// an operator drains may be all that a change of the file has left, and a refusal would be certain.
const SHARES: [fn(&Endpoint) -> u32; 4] =
    [Endpoint::share, Endpoint::last_resort, Endpoint::unless_drained, |_| WHOLE];

impl Backend {
    /// Whether clients are kept with their endpoints by a cookie.
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        self.affinity.as_ref().is_some_and(|rules| rules.sessions.is_some())
    }

    /// What a request says of the endpoint that it is for. Takes the cookie out of it that says so: it is nobody's but the
    /// gateway's.
    pub fn take_affinity(&self, headers: &mut Fields, client: IpAddr) -> Affinity {
        let Some(rules) = &self.affinity else { return Affinity::default() };
        let key = rules.hash_key.as_ref().and_then(|key| key_of(key, headers, client));
        Affinity { key, session: rules.sessions.as_ref().and_then(|sessions| sessions.take(headers)) }
    }

    /// What a client is told that this endpoint has answered; none: nothing, or nothing new.
    #[must_use]
    pub fn set_cookie(
        &self,
        affinity: Affinity,
        answered: UpstreamId,
        scheme: Scheme,
    ) -> Option<HeaderValue> {
        let sessions = self.affinity.as_ref()?.sessions.as_ref()?;
        let index = self.endpoints().iter().position(|endpoint| endpoint.upstream.id == answered)?;
        if affinity.session == Some(index) { None } else { sessions.set_cookie(index, scheme) }
    }

    /// The endpoint for the next request, by one worker's memory of turns.
    pub fn choose<'a>(&'a self, turns: &mut Turns, affinity: Affinity) -> &'a Endpoint {
        match &self.endpoints {
            Endpoints::One(endpoint) => endpoint,
            Endpoints::Several { id, balanced, endpoints, state } => {
                let Affinity { key, session } = affinity;
                let of_session = session.map(|index| &endpoints[index]);
                if let Some(endpoint) = of_session.filter(|endpoint| endpoint.keeps_sessions()) {
                    return endpoint;
                }
                let in_flight =
                    |index: usize| endpoints[index].state.as_ref().map_or(0, |state| state.in_flight());
                if state.is_whole() {
                    return &endpoints[turns.next(*id, &balanced.whole(), key, in_flight)];
                }
                let reduced = SHARES.into_iter().enumerate().find_map(|(rank, of)| {
                    balanced.reduced(move |at| of(&endpoints[at])).map(|reduced| (rank, reduced))
                });
                // There is always one: not all endpoints of a backend drain.
                let Some((rank, reduced)) = reduced else { return &endpoints[0] };
                if rank > 0 {
                    state.count_unguided();
                }
                // Where nobody is well, a session is nowhere better off than where it is.
                let kept = session.filter(|index| reduced.takes(*index));
                &endpoints[kept.unwrap_or_else(|| turns.next(*id, &reduced, key, in_flight))]
            }
        }
    }

    /// An endpoint for a request that these have not served well; none: there is no other. One that is not well is chosen only
    /// where no other is left.
    pub fn choose_other<'a>(
        &'a self,
        turns: &mut Turns,
        affinity: Affinity,
        tried: &[UpstreamId],
    ) -> Option<&'a Endpoint> {
        let Endpoints::Several { balanced, endpoints, .. } = &self.endpoints else { return None };
        let is_left = |index: usize| !tried.contains(&endpoints[index].upstream.id);
        let of_left = |of: fn(&Endpoint) -> u32| {
            balanced.reduced(move |index| if is_left(index) { of(&endpoints[index]) } else { 0 })
        };
        let left = SHARES.into_iter().find_map(of_left)?;
        Some(&endpoints[turns.other(&left, affinity.key)])
    }

    /// An endpoint that takes requests, for one that this one may still answer; none: there is no other, or the client is to stay
    /// where its session is.
    pub fn choose_beside<'a>(
        &'a self,
        turns: &mut Turns,
        affinity: Affinity,
        asked: UpstreamId,
    ) -> Option<&'a Endpoint> {
        let Endpoints::Several { balanced, endpoints, .. } = &self.endpoints else { return None };
        if affinity.session.is_some() {
            return None;
        }
        let share = |endpoint: &Endpoint| if endpoint.upstream.id == asked { 0 } else { endpoint.share() };
        let beside = balanced.reduced(move |index| share(&endpoints[index]))?;
        Some(&endpoints[turns.other(&beside, affinity.key)])
    }
}

/// The way to choose by such a key, or in turn where there is none.
pub(in super::super) fn balance_by(key: Option<&HashKey>) -> model::Balance {
    key.cloned().map_or_else(model::Balance::default, model::Balance::Hash)
}

/// What a request says of the key; none: nothing.
pub(in super::super) fn key_of(key: &HashKey, headers: &Fields, client: IpAddr) -> Option<KeyHash> {
    match key {
        HashKey::Header(name) => headers.get(name.as_http()).map(|value| KeyHash::of(value.as_bytes())),
        HashKey::Cookie(name) => cookies::values(headers, name.as_str()).next().map(KeyHash::of),
        HashKey::Ip => Some(match client {
            IpAddr::V4(address) => KeyHash::of(&address.octets()),
            IpAddr::V6(address) => KeyHash::of(&address.octets()),
        }),
    }
}
