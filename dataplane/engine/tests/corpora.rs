//! The corpora of what this package judges.

#[path = "../../../fuzz/inputs.rs"]
mod inputs;
#[path = "../../../fuzz/replay.rs"]
mod replay;

fn replay(target: &str, made: u32, feed: fn(&[u8])) {
    replay::replay(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."), target, made, feed);
}

#[test]
fn paths_keep_their_promises() {
    replay("path", 4_000, inputs::path);
}

#[test]
fn forwarding_fields_keep_their_promises() {
    replay("forwarded", 4_000, inputs::forwarded);
}

#[test]
fn tokens_keep_their_promises() {
    replay("token", 4_000, inputs::token);
}

#[test]
fn claims_keep_their_promises() {
    replay("claims", 4_000, inputs::claims);
}

#[test]
fn snapshots_keep_their_promises() {
    replay("snapshot", 1_000, inputs::snapshot);
}

#[test]
fn headers_of_proxies_keep_their_promises() {
    replay("proxy", 4_000, inputs::proxy);
}

#[test]
fn files_keep_their_promises() {
    replay("file", 300, inputs::file);
}
