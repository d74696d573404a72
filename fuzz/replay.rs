//! The corpora, replayed without a fuzzer: as they are, and with some bytes changed. Included by the tests that do.

use std::{fs, path::Path};

use proptest::{prelude::*, sample::Index, test_runner::TestRunner};

/// Feeds every file of a target's corpus to it, and this many inputs made of them. `root` is the repository.
pub(crate) fn replay(root: &str, target: &str, made: u32, feed: fn(&[u8])) {
    let directory = Path::new(root).join("fuzz/corpora").join(target);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let read = |file: fs::DirEntry| fs::read(file.path()).unwrap_or_else(|error| panic!("{target}: {error}"));
    let files: Vec<_> = files.flatten().map(read).collect();
    assert!(!files.is_empty(), "{target} has a corpus");
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
