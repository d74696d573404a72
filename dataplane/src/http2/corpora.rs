//! The corpora of what this module reads.

#[path = "../../../fuzz/blocks.rs"]
mod blocks;
#[path = "../../../fuzz/frames.rs"]
mod frames;

use crate::http1::corpora::replay;

#[test]
fn heads_are_written_as_they_were_read() {
    replay("hpack", blocks::hpack);
}

#[test]
fn frames_are_read_alike_however_they_come() {
    replay("frames", frames::frames);
}
