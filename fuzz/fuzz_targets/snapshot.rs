//! One input of `snapshot`; see `fuzz/inputs.rs`.
#![no_main]
#![expect(dead_code, reason = "the other targets' functions")]

#[path = "../inputs.rs"]
mod inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::snapshot(bytes));
