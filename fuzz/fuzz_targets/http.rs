#![no_main]
//! The entry of one fuzz target; its body is `bodies::http`.

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::http(data));
