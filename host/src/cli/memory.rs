//! `hotbay memory`: what agents of a running server find by its meaning.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Failure, block_on, client::ServerClient, plugin::ServerArguments, say, table::Table};

/// What `hotbay memory` does.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum MemoryCommand {
    /// Tell how many messages are found by their meaning, and how many wait to be
    Status(ServerArguments),
    /// Embed every message again: after another embedder was chosen, or recall was turned on
    Reembed(ReembedArguments),
}

const EXAMPLES: &str = "\
Examples:
  hotbay memory status
  hotbay memory reembed                    for all agents that recall by meaning
  hotbay memory reembed --agent support";

#[derive(Args)]
pub(super) struct ReembedArguments {
    /// Only for this agent [default: all that recall by meaning]
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

pub(super) fn run(command: MemoryCommand) -> Result<ExitCode, Failure> {
    match command {
        MemoryCommand::Status(server) => block_on(status(server)),
        MemoryCommand::Reembed(arguments) => block_on(reembed(arguments)),
    }
}

async fn status(server: ServerArguments) -> Result<ExitCode, Failure> {
    let answer = ServerClient::of(&server)?.get("/memory/embeddings").await?;
    if server.json {
        say(format_args!("{answer:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    let spaces = answer.get("spaces").and_then(Value::as_array).cloned().unwrap_or_default();
    if spaces.is_empty() {
        say("no message is found by its meaning: no agent with semanticRecall has said anything yet");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["EMBEDDER", "VECTOR STORE", "MESSAGES", "WAITING"]);
    for space in &spaces {
        let text = |key: &str| match space.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        table.row(["embedder", "vectorStore", "messages", "waiting"].map(text).to_vec());
    }
    say(table);
    Ok(ExitCode::SUCCESS)
}

async fn reembed(arguments: ReembedArguments) -> Result<ExitCode, Failure> {
    let ReembedArguments { agent, server } = arguments;
    let client = ServerClient::of(&server)?;
    let query: Vec<(&str, &str)> = agent.iter().map(|agent| ("agentId", agent.as_str())).collect();
    let answer = client.post_with(&["memory", "embeddings", "renew"], &query).await?;
    if server.json {
        say(format_args!("{answer:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    let embedders: Vec<&str> =
        answer.get("embedders").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if embedders.is_empty() {
        say("no agent recalls by meaning: turn semanticRecall on for one");
    } else {
        say(format_args!(
            "every message is embedded again with {}, in the background; `hotbay memory status` tells how far it is",
            embedders.join(", ")
        ));
    }
    Ok(ExitCode::SUCCESS)
}
