//! Reads when a route's requests are sent again.

use super::{Mapping, Place, Read, Reader};
use crate::{
    model::{Hedge, Retry},
    names::{RetryConditions, RetryCount},
};

impl Read for Retry {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let attempts = keys.or("attempts", RetryCount::ONE);
        let on = keys.or("on", RetryConditions::default());
        let budget = keys.or("budget_percent", Self::DEFAULT_BUDGET);
        let methods = keys.or("methods", Vec::new());
        keys.finish();

        Some(Self { attempts: attempts?, on: on?, budget: budget?, methods: methods? })
    }
}

impl Read for Hedge {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let after = keys.required("after_seconds");
        keys.finish();

        Some(Self { after: after? })
    }
}

impl Read for RetryConditions {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let conditions = Vec::read(place, reader)?;
        reader.take(place, Self::new(conditions))
    }
}
