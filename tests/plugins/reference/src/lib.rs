//! What the recorded reference server offered, written as a third party would: with
//! the public SDK alone.
//!
//! The contract tests replay recorded requests against a host that runs this plugin, so
//! every id, description, schema, count and message here is part of a recording.
//! `models` are deterministic and need no network, `tools` are what agents call,
//! `agents` put the two together.

mod agents;
mod models;
mod tools;

use hotbay_plugin::plugin;

use agents::{echo_agent, structured_agent, weather_agent};
use models::{mock_echo, mock_structured, mock_weather};
use tools::{approval_tool, calculator, failing, suspend_tool, weather};

plugin!(
    description: "Everything the recorded reference server offered",
    // In the order the recorded server lists them.
    agents: [echo_agent, weather_agent, structured_agent],
    tools: [weather, calculator, failing, approval_tool, suspend_tool],
    models: [mock_echo, mock_structured, mock_weather],
);
