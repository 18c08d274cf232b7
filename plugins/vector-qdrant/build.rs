//! Compiles the test that needs a Qdrant server only where one is named: a test that is there and
//! does nothing would look as if it had passed.

const VARIABLE: &str = "HOTBAY_TEST_QDRANT_URL";

#[expect(clippy::disallowed_methods, reason = "this is how cargo tells a build script something")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rustc-check-cfg=cfg(hotbay_test_qdrant)");
    if std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty()) {
        println!("cargo::rustc-cfg=hotbay_test_qdrant");
    }
}
