//! A query of people over logs and traces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hotbay::observe::fuzzing::query(bytes));
