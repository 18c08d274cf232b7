//! The integration tests: one binary, one file for each area. They need the
//! workspace's libraries: `cargo build --workspace`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "the whole crate is tests, what they share included")]

mod agent_runs;
mod agent_workflows;
mod auth;
mod cli;
mod client;
mod console;
mod dev;
mod documented;
mod durability;
mod embed_minilm;
mod events;
mod hostile_http;
mod limits;
mod mcp;
#[cfg(hotbay_test_minilm)]
mod meaning;
mod memory;
mod metrics;
mod models;
mod modes;
mod otlp;
mod plugin_abort;
mod plugin_account;
mod plugin_admin;
mod plugin_calls;
mod plugin_canary;
mod plugin_control_group;
mod plugin_hostile;
mod plugin_isolated;
mod plugin_isolated_host;
mod plugin_layout;
mod plugin_load;
mod plugin_sdk;
mod plugin_swap;
mod plugin_trust;
mod plugin_workflows;
mod records;
mod replay;
mod scaffold;
mod schedules;
#[cfg(hotbay_test_schemathesis)]
mod schemathesis;
mod store;
mod stored_logs;
mod swap_load;
mod tls;
mod toolchains;
mod traces;
mod vector_stores;
mod vectors;
mod working;
