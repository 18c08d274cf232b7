//! The integration tests, one binary. They need the workspace's libraries: `cargo build --workspace`.

mod plugin_calls;
mod plugin_hostile;
mod plugin_layout;
mod plugin_load;
mod plugin_swap;
