//! A record of the write-ahead log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hotbay::observe::fuzzing::record(bytes));
