//! An answer that goes to its client in fewer bytes: whether it does, and how many do at once.

/// What makes fewer bytes of it.
mod encoder;
/// Its body on the way.
mod body;

use std::{cell::Cell, rc::Rc, sync::Arc};

use apigw_config::names::ContentCoding;
use apigw_engine::compression::{CompressionRules, tell_coding, tell_that_it_varies, weaken_tag};
use http::StatusCode;

pub(crate) use self::body::CompressedBody;
use self::encoder::Encoder;
use super::{response::Response, response_body::Source};
use crate::{
    metrics::{CodingCounters, WorkerCounters},
    worker::Worker,
};

/// How many answers a worker compresses at once. Each holds what its algorithm remembers, below 3 MiB, for as long as its client
/// takes; beyond, answers go out as they come.
const MAX_AT_ONCE: usize = 64;

/// The answers that one worker compresses now.
#[derive(Debug, Default)]
pub(crate) struct Compressions(Cell<usize>);

/// One of them.
struct Place {
    all: Rc<Compressions>,
    counted: Arc<WorkerCounters>,
    coding: ContentCoding,
}

impl Place {
    fn take(all: &Rc<Compressions>, counted: &Arc<WorkerCounters>, coding: ContentCoding) -> Option<Self> {
        let Compressions(taken) = &**all;
        if taken.get() == MAX_AT_ONCE {
            counted.compression.declined.add(1);
            return None;
        }
        taken.set(taken.get() + 1);
        let place = Self { all: Rc::clone(all), counted: Arc::clone(counted), coding };
        place.counters().answers.add(1);
        Some(place)
    }

    fn counters(&self) -> &CodingCounters {
        self.counted.compression.of(self.coding)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Compressions(taken) = &*self.all;
        taken.set(taken.get() - 1);
    }
}

/// What becomes of an upstream's answer to a client that prefers this coding; none: it takes none of the route's. The answer to a
/// HEAD says what that to a GET would, as far as it is known.
pub(super) fn treat(
    worker: &Worker,
    rules: &CompressionRules,
    preferred: Option<ContentCoding>,
    is_head: bool,
    mut response: Response<Source>,
) -> Response<Source> {
    let is_from_upstream = !matches!(response.body, Source::Own(_));
    // Nothing is as short as it can be.
    let is_empty = !is_head && response.status != StatusCode::NOT_MODIFIED && response.body.is_end_stream();
    let headers = &mut response.headers;
    if !is_from_upstream || is_empty || !rules.concern(response.status, headers) {
        return response;
    }
    tell_that_it_varies(headers);
    let Some(coding) = preferred else { return response };
    if response.status == StatusCode::NOT_MODIFIED {
        weaken_tag(headers);
        return response;
    }
    if is_head {
        tell_coding(headers, coding);
        return response;
    }
    let place = Place::take(&worker.compressions, worker.counted(), coding);
    let Some(place) = place else { return response };
    // Where an algorithm has no memory, the answer goes out as it comes.
    let Ok(encoder) = Encoder::new(coding) else { return response };
    tell_coding(headers, coding);
    response.map(|source| Source::Compressed(Box::new(CompressedBody::new(source, encoder, place))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_answers_are_compressed_at_once_and_no_more() {
        let (all, counted) = (Rc::default(), Arc::default());
        let take = || Place::take(&all, &counted, ContentCoding::Gzip);
        let mut places: Vec<_> = std::iter::from_fn(take).collect();
        assert_eq!((places.len(), counted.compression.declined.read()), (MAX_AT_ONCE, 1));
        places.pop();
        assert!(take().is_some(), "whoever ends makes room");
        drop(places);
        assert_eq!(all.0.get(), 0);
    }
}
