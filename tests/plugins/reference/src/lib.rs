//! What the recorded reference server offered, written as a third party would: with
//! the public SDK alone.
//!
//! The contract tests replay recorded requests against a host that runs this plugin, so
//! every id, description, schema, count and message here is part of a recording.
//! `models` are deterministic and need no network, `tools` are what agents call,
//! `agents` put the two together, `workflows` show every kind of node, `mcp` groups
//! some of it for MCP clients, `vectors` are a store in memory.

mod agents;
mod mcp;
mod models;
mod number;
mod tools;
mod vectors;
mod workflows;

use hotbay_plugin::plugin;

use agents::{echo_agent, structured_agent, weather_agent};
use mcp::{legacy_mcp, ref_mcp};
use models::{mock_echo, mock_structured, mock_weather};
use tools::{approval_tool, calculator, failing, suspend_tool, weather};
use workflows::{branching, endings, looping, nested, plain, suspending};

plugin!(
    description: "Everything the recorded reference server offered",
    // In the order the recorded server lists them.
    agents: [echo_agent, weather_agent, structured_agent],
    tools: [weather, calculator, failing, approval_tool, suspend_tool],
    models: [mock_echo, mock_structured, mock_weather],
    workflows: [
        plain::linear,
        branching::parallel,
        branching::branch,
        looping::dountil,
        looping::dowhile,
        looping::foreach,
        plain::sleep,
        nested::nested,
        plain::map,
        suspending::suspend,
        endings::failing,
        endings::flaky,
        endings::state,
        endings::writer,
        endings::bail,
        endings::slow,
        suspending::parallel_suspend,
        nested::nested_suspend,
        looping::foreach_suspend,
        branching::branch_none,
        nested::inner,
        nested::inner_suspend,
    ],
    vector_stores: [vectors::LibSql],
    mcp_servers: [ref_mcp, legacy_mcp],
);
