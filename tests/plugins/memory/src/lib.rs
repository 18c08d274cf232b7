//! Agents that remember in every way there is, models that show what they were told, and
//! memory processors; written with the public SDK alone.

mod processors;

use hotbay_plugin::prelude::*;

use processors::{mask, token_limit};

plugin!(
    description: "Agents that remember",
    agents: [witness, trimmed, broken, notes, profile, titled, recalling, secluded, picky],
    tools: [recall, relay],
    models: [witness_model, namer],
    embedders: [picky_embedder],
    memory_processors: [token_limit, mask],
);

/// Shows what its model was told
#[agent]
fn witness() -> Agent {
    Agent::new("witness").instructions("Be there.").model("test-memory/witness").memory(Memory::last(4))
}

/// Remembers a little, and no secrets
#[agent]
fn trimmed() -> Agent {
    let memory = Memory::last(10).processor("mask").processor_with("token-limit", json!({ "tokens": 6 }));
    Agent::new("trimmed").model("test-memory/witness").memory(memory)
}

/// Names a processor nobody offers
#[agent]
fn broken() -> Agent {
    Agent::new("broken").model("test-memory/witness").memory(Memory::last(10).processor("nowhere"))
}

/// Notes what it learns about a person
#[agent]
fn notes() -> Agent {
    Agent::new("notes").model("mock/script").memory(Memory::last(10).working_memory("# Notes\n- Name:"))
}

/// Notes what it learns in a conversation, as a document
#[agent]
fn profile() -> Agent {
    let schema = json!({ "type": "object", "properties": {
        "name": { "type": "string" },
        "tags": { "type": "array", "items": { "type": "string" } },
    } });
    let working = json!({ "enabled": true, "scope": "thread", "schema": schema });
    Agent::new("profile").model("mock/script").memory(Memory::last(10).option("workingMemory", working))
}

/// Gives its conversations titles
#[agent]
fn titled() -> Agent {
    let title = json!({ "model": "test-memory/namer", "instructions": "Name it." });
    Agent::new("titled").model("mock/echo").memory(Memory::last(10).option("generateTitle", title))
}

/// Remembers the last two messages, and of all others what is near to what is asked
#[agent]
fn recalling() -> Agent {
    let recall = SemanticRecall::default().top_k(2).around(0, 1);
    Agent::new("recalling").model("test-memory/witness").memory(Memory::last(2).semantic_recall(recall))
}

/// As `recalling`, but keeps conversations apart
#[agent]
fn secluded() -> Agent {
    let recall = SemanticRecall::default().top_k(1).around(0, 0).in_thread();
    Agent::new("secluded").model("test-memory/witness").memory(Memory::last(1).semantic_recall(recall))
}

/// Recalls with an embedder that has its moods
#[agent]
fn picky() -> Agent {
    let memory = Memory::last(1).semantic_recall(SemanticRecall::default().around(0, 0));
    Agent::new("picky").model("test-memory/witness").memory(memory.embedder("test-memory/picky").vector_store("local"))
}

/// Embeds the number of letters, and nothing that is poison.
#[embedder(id = "test-memory/picky", dimension = 2)]
async fn picky_embedder(texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
    if texts.iter().any(|text| text.contains("poison")) {
        return Err(Error::input("this cannot be embedded"));
    }
    Ok(texts.iter().map(|text| vec![1.0, text.chars().count() as f32]).collect())
}

#[derive(Deserialize, JsonSchema)]
struct Place {
    thread: String,
}

/// Returns the last three messages of a conversation.
#[tool(untyped_output)]
async fn recall(ctx: &Ctx, place: Place) -> Result<Vec<String>> {
    let messages = ctx.recall(&place.thread, 3).await?;
    Ok(messages.iter().map(MemoryMessage::text).collect())
}

/// Says something to the witness in a conversation.
#[tool(untyped_output)]
async fn relay(ctx: &Ctx, place: Place) -> Result<String> {
    let options = json!({ "memory": { "thread": place.thread, "resource": "u" } });
    Ok(ctx.agent("witness").generate_with(vec![Message::user("from a tool")], &options).await?.text)
}

/// Says what it was told, as JSON: the messages and the names of the tools.
#[model(id = "test-memory/witness")]
async fn witness_model(request: ChatRequest, answer: &mut Answer) -> Result<()> {
    let tools: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    answer.text(json!({ "messages": request.messages, "tools": tools }).to_string()).await?;
    answer.finish(FinishReason::Stop, Usage::default()).await
}

/// Names a conversation after what was said first.
#[model(id = "test-memory/namer")]
async fn namer(request: ChatRequest, answer: &mut Answer) -> Result<()> {
    let said = request.messages.last().map(Message::text).unwrap_or_default();
    answer.text(format!("\"About {said}\"\nand more")).await?;
    answer.finish(FinishReason::Stop, Usage::default()).await
}
