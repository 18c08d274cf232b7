//! Compiles the tests that need something a plain machine does not have only where it is named.
//!
//! A test that is there and does nothing would look as if it had passed; `cargo suite` names
//! those that are not there.

#![expect(clippy::disallowed_methods, reason = "this is how cargo tells a build script something")]

/// Variables and what is set for `cfg` where they are.
const NEEDS: [(&str, &str); 8] = [
    ("HOTBAY_TEST_MCP_NODE", "hotbay_test_mcp_node"),
    ("HOTBAY_TEST_MINILM", "hotbay_test_minilm"),
    ("HOTBAY_TEST_OTLP_PYTHON", "hotbay_test_otlp_python"),
    ("HOTBAY_TEST_PGVECTOR_URL", "hotbay_test_pgvector"),
    ("HOTBAY_TEST_POSTGRES_PROGRAMS", "hotbay_test_postgres_programs"),
    ("HOTBAY_TEST_POSTGRES_URL", "hotbay_test_postgres"),
    ("HOTBAY_TEST_SCHEMATHESIS", "hotbay_test_schemathesis"),
    ("HOTBAY_TEST_SMALL_DISK", "hotbay_test_small_disk"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for (variable, cfg) in NEEDS {
        println!("cargo::rerun-if-env-changed={variable}");
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            println!("cargo::rustc-cfg={cfg}");
        }
    }
}
