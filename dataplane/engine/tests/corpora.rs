//! The fuzzers' corpora, replayed without a fuzzer: as they are, and with some bytes changed.

use std::{fs, path::PathBuf};

use proptest::{prelude::*, sample::Index, test_runner::TestRunner};

#[path = "../../../fuzz/inputs.rs"]
mod inputs;

/// The files of a target's corpus.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpora")).join(target);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let read = |file: fs::DirEntry| fs::read(file.path()).unwrap_or_else(|error| panic!("{target}: {error}"));
    let files: Vec<_> = files.flatten().map(read).collect();
    assert!(!files.is_empty(), "{target} has a corpus");
    files
}

/// Feeds every file to its target, and this many inputs made of them.
fn replay(target: &str, made: u32, feed: fn(&[u8])) {
    let files = corpus(target);
    files.iter().for_each(|bytes| feed(bytes));
    let (file, other) = (any::<Index>(), any::<Index>());
    let changes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..6);
    let mut runner = TestRunner::new(ProptestConfig { cases: made, ..ProptestConfig::default() });
    let outcome = runner.run(&(file, other, any::<Index>(), changes), |(file, other, cut, changes)| {
        // The beginning of one and the end of another, with some bytes changed.
        let (first, second) = (file.get(&files), other.get(&files));
        let mut bytes = first[..cut.index(first.len() + 1)].to_vec();
        bytes.extend_from_slice(&second[cut.index(second.len() + 1)..]);
        for (place, byte) in changes {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        feed(&bytes);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{target}: {error}"));
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
fn files_keep_their_promises() {
    replay("file", 300, inputs::file);
}
