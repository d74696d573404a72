//! Reads what keeps clients with their endpoints.

use super::{
    Mapping, Place, Read, Reader,
    values::{hidden_text, whole},
};
use crate::{
    model::SessionCookie,
    names::{CookieLifetime, CookieSecret},
};

impl Read for SessionCookie {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let name = keys.required("name");
        let secret = keys.required("secret");
        let lifetime = keys.or("ttl_seconds", None);
        keys.finish();

        Some(Self { name: name?, secret: secret?, lifetime: lifetime? })
    }
}

impl Read for CookieSecret {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let text = hidden_text(place, reader)?;
        reader.take(place, Self::new(text))
    }
}

impl Read for CookieLifetime {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let seconds = whole(place, reader)?;
        // What no counter can hold is as illegal as zero.
        reader.take(place, Self::new(u32::try_from(seconds).unwrap_or(0)))
    }
}
