//! One input of `response`; see `fuzz/messages.rs`.
#![no_main]
#![expect(dead_code, reason = "what else the data plane has, and the other target's function")]

#[path = "../http1.rs"]
mod http1;
#[path = "../messages.rs"]
mod messages;
#[path = "../../dataplane/src/pieces.rs"]
mod pieces;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| messages::response(bytes));
