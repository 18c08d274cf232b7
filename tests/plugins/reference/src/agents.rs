//! The agents: a model, instructions and tools under the names the recordings know.

use hotbay_plugin::prelude::*;

use crate::tools::{approval_tool, calculator, failing, suspend_tool, weather};

/// Echoes text
#[agent]
pub(crate) fn echo_agent() -> Agent {
    Agent::new("echo-agent")
        .name("Echo Agent")
        .instructions("Echo what the user says.")
        .model("mock-provider/mock-echo")
        .memory(Memory::last(10))
}

/// Answers weather questions
#[agent]
pub(crate) fn weather_agent() -> Agent {
    Agent::new("weather-agent")
        .name("Weather Agent")
        .instructions("Use the weather tool.")
        .model("mock-provider/mock-weather")
        .memory(Memory::last(10))
        .tool(weather)
        .tool(calculator)
        .tool(failing)
        .tool_as("approvalTool", approval_tool)
        .tool_as("suspendTool", suspend_tool)
}

/// Answers JSON
#[agent]
pub(crate) fn structured_agent() -> Agent {
    Agent::new("structured-agent")
        .name("Structured Agent")
        .instructions("Reply in JSON.")
        .model("mock-provider/mock-structured")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weather_agent_knows_its_tools_by_the_recorded_keys() {
        let agent = serde_json::to_value(weather_agent().manifest()).unwrap();
        assert_eq!(
            agent,
            json!({
                "id": "weather-agent",
                "name": "Weather Agent",
                "description": "Answers weather questions",
                "instructions": "Use the weather tool.",
                "model": "mock-provider/mock-weather",
                "tools": [
                    { "key": "weather", "id": "weather" },
                    { "key": "calculator", "id": "calculator" },
                    { "key": "failing", "id": "failing" },
                    { "key": "approvalTool", "id": "approval-tool" },
                    { "key": "suspendTool", "id": "suspend-tool" },
                ],
                "memory": { "lastMessages": 10 },
            })
        );
    }

    #[test]
    fn structured_agent_has_no_memory() {
        assert_eq!(structured_agent().manifest().memory, None);
        assert_eq!(echo_agent().manifest().memory.as_ref().unwrap().last_messages, 10);
    }
}
