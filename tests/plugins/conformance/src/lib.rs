//! What the official conformance suite of MCP calls by name, as one plugin.
//!
//! The suite looks for tools, resources and prompts of fixed names and compares what they say, so
//! every name and text here is the suite's. `content` are tools that answer at once, `asking` those
//! that ask the client first, `offers` resources and prompts. `ending` is for other clients, which are
//! offered it by the server of everything.

mod asking;
mod content;
mod ending;
mod offers;

use hotbay_plugin::plugin;

plugin!(
    description: "What the conformance suite of MCP calls by name",
    tools: [
        content::test_simple_text,
        content::test_image_content,
        content::test_audio_content,
        content::test_embedded_resource,
        content::test_multiple_content_types,
        content::test_tool_with_logging,
        content::test_logging_tool,
        content::test_error_handling,
        content::test_tool_with_progress,
        content::test_reconnection,
        content::test_region,
        content::json_schema_2020_12_tool,
        asking::test_sampling,
        asking::test_elicitation,
        asking::test_elicitation_sep1034_defaults,
        asking::test_elicitation_sep1330_enums,
        asking::test_missing_capability,
        asking::test_streaming_elicitation,
        asking::test_input_required_result_elicitation,
        asking::test_input_required_result_sampling,
        asking::test_input_required_result_list_roots,
        asking::test_input_required_result_request_state,
        asking::test_input_required_result_multiple_inputs,
        asking::test_input_required_result_multi_round,
        asking::test_input_required_result_tampered_state,
        asking::test_input_required_result_capabilities,
        ending::test_waiting,
        ending::test_ended,
    ],
    mcp_servers: [offers::conformance],
);
