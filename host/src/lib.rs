//! Hotbay: an agent server whose agents, tools and models live in hot-swappable plugins.
//!
//! The host itself offers nothing to agents. It loads plugins, runs what they describe and
//! answers over HTTP; the SDK plugins are written with is the crate `hotbay-plugin`.
//!
//! # Modules, in reading order
//!
//! | module | owns |
//! |---|---|
//! | [`cli`] | arguments, output, exit codes; `hotbay dev` |
//! | [`config`] | every flag, variable and file setting; the only reader of the environment |
//! | [`app`] | the long-lived parts, the order in which they start and end |
//! | [`server`] | the socket: bound, served, closed; what is late on a connection |
//! | [`limits`] | how much is asked of the host at once, and by whom |
//! | [`tasks`] | the only spawner: names and ends background work |
//! | `idle` | memory that goes back to the system when nothing goes on |
//! | [`http`] | routes, request and response types; the only part that knows HTTP of our own |
//! | [`mcp`] | what plugins offer, offered to MCP clients |
//! | [`auth`] | who callers are: tokens, JWT |
//! | [`engine`] | runs of agents: model, tool calls, model, until they stop; runs of [workflows](engine::workflow) |
//! | [`memory`] | what agents remember: history, what is found by its meaning, working memory, titles |
//! | [`services`] | what plugins may ask of the host |
//! | [`vector`] | vector stores of plugins, and what may not be asked of them |
//! | [`sources`] | third-party MCP servers whose tools agents use |
//! | [`model`] | chat models: those of providers, and the trait all share |
//! | `pull` | files of models that run on this machine, fetched by `hotbay model pull` |
//! | [`plugin`] | files to capabilities: checked, probed, mapped here or in a process of their own, swapped, retired |
//! | [`observe`] | logs and traces: recorded, kept, found again; live events; what is counted; OTLP |
//! | [`store`] | what outlives the process, on SQLite or PostgreSQL; the only part that knows SQL |
//! | [`types`] | plain data all of them speak |
//!
//! # A request's way
//!
//! A handler in [`http`] reads the request and makes one call on the [`engine`]. The engine
//! takes the current snapshot of the plugin [registry](plugin::registry) and pins the
//! generations the run needs, so a swap during the run does not change it. It asks a
//! [`model`], calls tools through [`plugin::call`], which is bytes in, bytes out, and
//! publishes what happens; the handler returns the result or streams it. A plugin that
//! needs something itself, another tool or a model, asks [`services`], which looks it up in
//! the same snapshot.
//!
//! A run of a workflow is driven by a task of its own, not by the request: each result is
//! stored before the next step begins, so whoever holds the run's lease can go on with it.
//!
//! All of it is recorded as a tree of [spans](observe::tracer): whatever a run causes, a tool, an
//! agent, a workflow, a model, is found below the span that caused it, for
//! [`services::Origin`] carries that span into a plugin and back.
//!
//! # Who may use whom
//!
//! Later modules of the table never use earlier ones, except that what takes settings reads
//! [`config`] and what starts work reads [`tasks`]. Only [`plugin`] names ABI types, only
//! [`http`] names status codes of our API, only [`store`] names tables, and only [`app`]
//! knows all parts.
//!
//! # The end
//!
//! Written once, in [`server`] and [`app`]: stop accepting, let answers end, cut streams and
//! runs, shut plugins down, then what watched them and what writes the store. Ten seconds
//! are the most it takes.

pub mod cli;
pub mod config;

pub mod app;
pub mod limits;
pub mod server;
pub mod tasks;

pub mod auth;
pub mod http;
pub mod mcp;

pub mod engine;
pub mod memory;
pub mod services;
pub mod sources;
pub mod vector;

pub mod model;
pub mod plugin;

pub mod observe;
pub mod store;

pub mod types;

mod idle;
mod plugin_events;
mod pull;
mod scaffold;
mod signals;

pub use server::ServeError;
use server::Server;

/// Serves until SIGINT or SIGTERM, then ends in order; a second signal ends at once.
///
/// Prints one line to standard output, `listening on http://ADDRESS` (or `https`), once plugins are
/// loaded and requests are answered. Nothing else goes there.
///
/// # Errors
///
/// If the address is taken, a directory cannot be used, or the socket fails.
pub async fn serve(config: config::Config) -> Result<(), ServeError> {
    // Listened for first: a signal while plugins load ends the host just as well.
    let stop = signals::asked_to_stop();
    let mut stop = std::pin::pin!(stop);
    let server = tokio::select! {
        server = Server::bind(config) => server?,
        () = &mut stop => return Ok(()),
    };
    announce(&server.url());
    server.app().give_memory_back_when_idle();
    server.run(stop).await
}

#[expect(clippy::print_stdout, reason = "the line other programs wait for")]
pub(crate) fn announce(url: &str) {
    println!("listening on {url}");
}
