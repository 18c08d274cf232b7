//! A token of an identity provider, and claims that are signed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hotbay::auth::jwt::fuzzing::jwt(bytes));
