//! How a body is compressed piece by piece. What upstreams and clients do to one is tested end to end.

use std::{
    io::Read as _,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use apigw_config::names::ContentCoding;
use proptest::prelude::*;

use super::*;
use crate::metrics::WorkerCounters;

/// A body, and what is counted of it.
fn compressed(coding: ContentCoding, content: Vec<u8>) -> (CompressedBody, Arc<WorkerCounters>) {
    let counted = Arc::default();
    let place = Place::take(&Rc::default(), &counted, coding).unwrap();
    let encoder = Encoder::new(coding).unwrap();
    (CompressedBody::new(Source::Own(content.into()), encoder, place), counted)
}

fn decoded(coding: ContentCoding, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    match coding {
        ContentCoding::Brotli => brotli::Decompressor::new(bytes, 4_096).read_to_end(&mut content)?,
        ContentCoding::Zstandard => zstd::Decoder::new(bytes)?.read_to_end(&mut content)?,
        ContentCoding::Gzip => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut content)?,
    };
    Ok(content)
}

/// All that comes, and how much was taken between two turns of others.
fn drained(mut body: CompressedBody, counted: &WorkerCounters, coding: ContentCoding) -> (Vec<u8>, Vec<u64>) {
    let mut context = Context::from_waker(Waker::noop());
    let taken = || counted.compression.of(coding).input_bytes.read();
    let (mut bytes, mut turns, mut before) = (Vec::new(), Vec::new(), 0);
    loop {
        match body.poll_frame(&mut context) {
            Poll::Pending => {
                turns.push(taken() - before);
                before = taken();
            }
            Poll::Ready(Some(frame)) => bytes.extend_from_slice(&frame.unwrap().into_data().unwrap()),
            Poll::Ready(None) => return (bytes, turns),
        }
    }
}

/// What compresses a little.
fn text(length: usize) -> Vec<u8> {
    (0..length).map(|place| b'a' + u8::try_from(place * place % 23).unwrap()).collect()
}

#[test]
fn others_have_their_turn_after_each_piece() {
    for coding in ContentCoding::ALL {
        let content = text(10 * MAX_PIECE_BYTES + 5);
        let (body, counted) = compressed(coding, content.clone());
        let (bytes, turns) = drained(body, &counted, coding);
        assert_eq!(turns, [MAX_PIECE_BYTES as u64; 10], "{coding}");
        assert_eq!(decoded(coding, &bytes).unwrap(), content, "{coding}");
        let counters = counted.compression.of(coding);
        let sums = (counters.input_bytes.read(), counters.output_bytes.read());
        assert_eq!(sums, (content.len() as u64, bytes.len() as u64), "{coding}");
    }
}

#[test]
fn a_short_answer_is_whole_with_its_first_frame() {
    for coding in ContentCoding::ALL {
        let (mut body, _) = compressed(coding, text(5_000));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = body.poll_frame(&mut context) else { panic!("{coding}") };
        assert!(body.is_end_stream(), "{coding}");
        assert_eq!(decoded(coding, frame.data_ref().unwrap()).unwrap(), text(5_000), "{coding}");
    }
}

#[test]
fn a_stream_that_has_not_ended_is_not_taken_for_a_whole_one() {
    for coding in ContentCoding::ALL {
        let mut encoder = Encoder::new(coding).unwrap();
        encoder.write(&text(40_000)).unwrap();
        encoder.flush().unwrap();
        let begun = encoder.take();
        assert!(decoded(coding, &begun).is_err(), "{coding}");
        let whole = [begun, encoder.finish().unwrap()].concat();
        assert_eq!(decoded(coding, &whole).unwrap(), text(40_000), "{coding}");
    }
}

proptest! {
    #[test]
    fn what_is_decoded_is_what_was_compressed(
        content in prop::collection::vec(any::<u8>(), 1..100_000),
        coding in prop::sample::select(ContentCoding::ALL.to_vec()),
    ) {
        let (body, counted) = compressed(coding, content.clone());
        let (bytes, _) = drained(body, &counted, coding);
        prop_assert_eq!(decoded(coding, &bytes).unwrap(), content);
    }
}
