//! The corpora of what this module reads.

#[path = "../../../fuzz/blocks.rs"]
mod blocks;

use crate::http1::corpora::replay;

#[test]
fn heads_are_written_as_they_were_read() {
    replay("hpack", blocks::hpack);
}
