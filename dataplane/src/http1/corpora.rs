//! The corpora of what this module reads.

#[path = "../../../fuzz/messages.rs"]
mod messages;
#[path = "../../../fuzz/replay.rs"]
mod replay;

/// Feeds a target with its corpus, and what is made of that.
pub(crate) fn replay(target: &str, feed: fn(&[u8])) {
    replay::replay(concat!(env!("CARGO_MANIFEST_DIR"), "/.."), target, 4_000, feed);
}

#[test]
fn requests_are_read_alike_however_they_come() {
    replay("request", messages::request);
}

#[test]
fn responses_are_read_alike_however_they_come() {
    replay("response", messages::response);
}
