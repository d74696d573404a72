//! Reads which service is asked about a route's requests.

use super::{Mapping, Place, Read, Reader};
use crate::model::{ExternalAuth, ServiceCache, ServiceFailure};

impl Read for ExternalAuth {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let url = keys.required("url");
        let timeout = keys.or("timeout_seconds", Self::DEFAULT_TIMEOUT);
        let request_headers = keys.or("request_headers", Self::default_request_headers());
        let forward_headers = keys.or("forward_headers", Vec::new());
        let user_header = keys.or("user_header", None);
        let on_failure = keys.or("on_failure", ServiceFailure::default());
        let cache = keys.or("cache", None);
        let read = || {
            let service = Self {
                url: url?,
                timeout: timeout?,
                request_headers: request_headers?,
                forward_headers: forward_headers?,
                user_header: user_header?,
                on_failure: on_failure?,
                cache: cache?,
            };
            keys.judged(service.checked())
        };
        let read = read();
        keys.finish();
        read
    }
}

impl Read for ServiceCache {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let ttl = keys.required("ttl_seconds");
        let ignore = keys.or("ignore", Vec::new());
        let read = || {
            let cache = Self { ttl: ttl?, ignore: ignore? };
            keys.judged(cache.checked())
        };
        let read = read();
        keys.finish();
        read
    }
}
