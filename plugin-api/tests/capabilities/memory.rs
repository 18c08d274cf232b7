//! What agents remember, and plugins that have a say in it.

use hotbay_plugin::{error::code, prelude::*, processor::Speaker};
use serde_json::json;

use crate::{host, plugin};

/// Keeps the last messages.
#[memory_processor(name = "last-only")]
pub(crate) async fn last_only(ctx: &Ctx, remembered: Remembered) -> Result<Vec<MemoryMessage>> {
    let keep = remembered.options["keep"].as_u64().unwrap_or(1);
    let mut messages = remembered.messages;
    messages.drain(..messages.len() - usize::try_from(keep)?);
    messages.extend(ctx.recall("t-1", 1).await?);
    Ok(messages)
}

#[test]
fn memory_processor_gives_back_what_the_model_is_to_see() {
    let message = |text: &str| MemoryMessage::new(Speaker::User, text);
    let host = host().thread("t-1", vec![message("older"), message("remembered")]);
    let plugin = host.open(plugin(), &json!({ "base_url": "http://localhost/" })).unwrap();
    let mut remembered = Remembered::new(vec![message("one"), message("two"), message("three")]);
    remembered.options.insert("keep".into(), json!(2));
    let kept = plugin.memory_processor("last-only", &remembered).unwrap();
    let texts: Vec<_> = kept.iter().map(MemoryMessage::text).collect();
    assert_eq!(texts, ["two", "three", "remembered"]);
    let error = plugin.memory_processor("nowhere", &remembered).unwrap_err();
    assert_eq!(error.code, code::UNSUPPORTED);
}

#[test]
fn an_agents_memory_names_its_options() {
    let memory =
        Memory::last(3).working_memory("# T").generate_title().processor("a").processor_with("b", json!({ "n": 1 }));
    let manifest = serde_json::to_value(Agent::new("x").memory(memory).manifest()).unwrap();
    assert_eq!(
        manifest["memory"],
        json!({
            "lastMessages": 3,
            "workingMemory": { "enabled": true, "template": "# T" },
            "generateTitle": true,
            "processors": [{ "name": "a", "options": {} }, { "name": "b", "options": { "n": 1 } }],
        })
    );
}
