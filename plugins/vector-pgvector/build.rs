//! Compiles the tests that need a PostgreSQL with pgvector only where one is named: a test that is
//! there and does nothing would look as if it had passed.

const VARIABLE: &str = "HOTBAY_TEST_PGVECTOR_URL";
const PROGRAMS: &str = "HOTBAY_TEST_PGVECTOR_PROGRAMS";

#[expect(clippy::disallowed_methods, reason = "this is how cargo tells a build script something")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for (variable, cfg) in [(VARIABLE, "hotbay_test_pgvector"), (PROGRAMS, "hotbay_test_pgvector_programs")] {
        println!("cargo::rerun-if-env-changed={variable}");
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            println!("cargo::rustc-cfg={cfg}");
        }
    }
}
