//! A file that says it is a library.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hotbay::plugin::fuzzing::elf(bytes));
