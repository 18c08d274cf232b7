//! What a plugin's process writes to its host, and a host to it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hotbay::plugin::fuzzing::frames(bytes));
