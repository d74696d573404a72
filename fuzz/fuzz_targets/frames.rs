//! One input of `frames`; see `fuzz/frames.rs`.
#![no_main]
#![expect(dead_code, reason = "what else the data plane has")]

#[path = "../frames.rs"]
mod frames;
#[path = "../http1.rs"]
mod http1;
#[path = "../http2.rs"]
mod http2;
#[path = "../../dataplane/src/pieces.rs"]
mod pieces;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frames::frames(bytes));
