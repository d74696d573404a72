//! Reads how long a peer's route waits.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::Timeouts,
    names::Period,
    problem::{KeyPath, Problems},
};

pub(super) fn timeouts(
    message: &v1::Timeouts,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<Timeouts> {
    let v1::Timeouts { total_us, connect_us, first_byte_us, idle_us } = *message;
    let mut fields = Fields { at: *at, problems };
    let total = own_period(&mut fields, "total_seconds", total_us);
    let connect = own_period(&mut fields, "connect_seconds", connect_us);
    let first_byte = own_period(&mut fields, "first_byte_seconds", first_byte_us);
    let idle = own_period(&mut fields, "idle_seconds", idle_us);
    Some(Timeouts {
        total: total.ok()?,
        connect: connect.ok()?,
        first_byte: first_byte.ok()?,
        idle: idle.ok()?,
    })
}

/// It is not legal; the problems say why.
struct Reported;

/// A time that a route has for itself; 0: it has none.
fn own_period(fields: &mut Fields<'_, '_>, key: &str, micros: u64) -> Result<Option<Period>, Reported> {
    if micros == 0 { Ok(None) } else { fields.period(key, micros).map(Some).ok_or(Reported) }
}
