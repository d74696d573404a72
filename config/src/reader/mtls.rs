//! Reads whose certificates make a caller known.

use super::{Mapping, Place, Read, Reader};
use crate::model::Mtls;

impl Read for Mtls {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let dns_names = keys.or("dns_names", Vec::new());
        let uris = keys.or("uris", Vec::new());
        let emails = keys.or("emails", Vec::new());
        let common_names = keys.or("common_names", Vec::new());
        let read = || {
            let mtls =
                Self { dns_names: dns_names?, uris: uris?, emails: emails?, common_names: common_names? };
            keys.judged(mtls.checked())
        };
        let read = read();
        keys.finish();
        read
    }
}
