//! Conformance from outside: a real server on loopback, raw HTTP, judged by the clauses of the protocol
//! notes. Test names carry the clause (`s4_8_...` is section 4.8).
//!
//! The server runs in this process, because the datasets of the specification (structures, sequences,
//! groups) cannot all be stored in a file: one more [`handlers::Format`] recognises files that hold the
//! word `memory` and yields the datasets of the unit tests. What comes back is read by parsers written
//! from the notes ([`xml`], [`dmr`], [`dap`], [`dds`], [`das`], [`xdr`]), never by the server's own code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]
#![allow(clippy::float_cmp, reason = "values arrive exactly or are wrong")]
#![allow(clippy::format_collect, clippy::format_push_string, reason = "short texts; clarity counts")]

mod answers;
mod dap;
mod dap2_constraints;
mod dap2_texts;
mod dap2_values;
mod das;
#[path = "../../src/protocols/dap4/tests/datasets.rs"]
mod datasets;
mod dds;
mod dmr;
mod faults;
#[path = "../../src/protocols/dap2/fixtures.rs"]
mod fixtures;
mod http;
mod lint;
mod oracles;
mod pages;
mod s1_requests;
mod s1_validators;
mod s3_data;
mod s4_constraints;
mod spellings;
mod world;
mod xdr;
mod xml;
