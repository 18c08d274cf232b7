//! What a plugin says about itself, and a configuration for it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hotbay::plugin::fuzzing::manifest(bytes));
