//! Reads how long a route waits.

use super::{Mapping, Place, Read, Reader};
use crate::model::Timeouts;

impl Read for Timeouts {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let total = keys.or("total_seconds", None);
        let connect = keys.or("connect_seconds", None);
        let first_byte = keys.or("first_byte_seconds", None);
        let idle = keys.or("idle_seconds", None);
        keys.finish();

        Some(Self { total: total?, connect: connect?, first_byte: first_byte?, idle: idle? })
    }
}
