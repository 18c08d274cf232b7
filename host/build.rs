//! Compiles the tests that need PostgreSQL only where one is named.
//!
//! A test that is there and does nothing would look as if it had passed; `cargo suite` names
//! those that are not there.

#![expect(clippy::disallowed_methods, reason = "this is how cargo tells a build script something")]

const VARIABLE: &str = "HOTBAY_TEST_POSTGRES_URL";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rustc-check-cfg=cfg(hotbay_test_postgres)");
    if std::env::var_os(VARIABLE).is_some_and(|url| !url.is_empty()) {
        println!("cargo::rustc-cfg=hotbay_test_postgres");
    }
}
