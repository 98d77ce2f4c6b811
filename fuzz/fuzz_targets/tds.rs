#![no_main]
//! The entry of one fuzz target; its body is `bodies::tds`.

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::tds(data));
