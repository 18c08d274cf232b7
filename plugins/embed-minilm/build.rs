//! Compiles the tests that need the model's weights only where they are.
//!
//! A test that is there and does nothing would look as if it had passed; `cargo suite` names
//! those that are not there.

#![expect(clippy::disallowed_methods, reason = "this is how cargo tells a build script something")]

/// Names the directory of the weights.
const VARIABLE: &str = "HOTBAY_TEST_MINILM";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rustc-check-cfg=cfg(hotbay_test_minilm)");
    if std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty()) {
        println!("cargo::rustc-cfg=hotbay_test_minilm");
    }
}
