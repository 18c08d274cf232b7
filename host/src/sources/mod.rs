//! Third-party MCP servers as sources of tools: each is kept connected, and what it offers now can be
//! called under `<server>_<tool>`.
//!
//! A server that is gone is tried again, less and less often; its tools are gone meanwhile. One that says
//! that its list has changed is asked for it. `connect` has the ways to reach one, [`tool`] a call.
//!
//! A source may be another host, or this one, and offer what it has from here. Tools carry through which
//! hosts they came, so that none comes round.

mod connect;
mod legacy;
pub mod settings;
pub mod tool;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rmcp::{
    ClientHandler, RoleClient,
    model::{ClientConfig, Implementation},
    service::{NotificationContext, RunningService},
};
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{tasks::Tasks, types::id::Millis};
use settings::SourceSettings;
use tool::SourceTool;

/// How long reaching a server may take. Programs are installed first, some of them.
const CONNECT: Duration = Duration::from_secs(60);
/// How long listing its tools may take.
const LIST: Duration = Duration::from_secs(30);
/// How often it is asked although it says of no change.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long it may take to end.
const END: Duration = Duration::from_secs(2);
/// How long is waited before a server that was gone is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));
/// A server that was there for so long is tried again at once.
const STEADY: Duration = Duration::from_secs(60);

/// All servers. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sources {
    all: Arc<BTreeMap<String, Arc<Source>>>,
    /// How often what is offered was another.
    version: Arc<watch::Sender<u64>>,
}

struct Source {
    name: String,
    settings: SourceSettings,
    /// Names this host among those a tool came through.
    host: String,
    version: Arc<watch::Sender<u64>>,
    // Held to read or replace what is in it.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tools: Vec<Arc<SourceTool>>,
    status: SourceStatus,
}

/// How a server is.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `connecting`, `connected` or `waiting`.
    pub state: &'static str,
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The protocol it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Since when it is in this state.
    pub since: String,
    /// How often it was connected.
    pub connected: u64,
    /// Why it is not, the last time it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its tools, by the names agents use.
    pub tools: Vec<String>,
}

impl Sources {
    /// Begins to connect to the servers; they are tasks of `tasks` and end with them. `host` is a name
    /// no other host has.
    #[must_use]
    pub fn start(settings: &BTreeMap<String, SourceSettings>, host: &str, tasks: &Tasks) -> Self {
        let version = Arc::<watch::Sender<u64>>::default();
        let source = |(name, settings): (&String, &SourceSettings)| {
            let status = SourceStatus { name: name.clone(), state: "connecting", ..SourceStatus::default() };
            let state = Mutex::new(State { status, tools: Vec::new() });
            let source = Arc::new(Source {
                name: name.clone(),
                settings: settings.clone(),
                host: host.to_owned(),
                version: Arc::clone(&version),
                state,
            });
            source.stand("connecting", None);
            let kept = Arc::clone(&source);
            tasks.spawn("mcp-source", |cancel| kept.keep(cancel));
            (name.clone(), source)
        };
        let all = Arc::new(settings.iter().map(source).collect());
        Self { all, version }
    }

    /// Returns how the servers are.
    #[must_use]
    pub fn status(&self) -> Vec<SourceStatus> {
        self.all.values().map(|source| source.locked(|state| state.status.clone())).collect()
    }

    /// Returns the tool of this name, if its server offers it now.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<Arc<SourceTool>> {
        self.all
            .values()
            .find_map(|source| source.locked(|state| state.tools.iter().find(|tool| tool.name == name).map(Arc::clone)))
    }

    /// Returns all tools that are offered now, in order.
    #[must_use]
    pub fn tools(&self) -> Vec<Arc<SourceTool>> {
        self.all.values().flat_map(|source| source.locked(|state| state.tools.clone())).collect()
    }

    /// Returns how often what is offered was another.
    #[must_use]
    pub fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// Returns a receiver that sees each new version.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Returns the tools an agent has because of where they come from.
    #[must_use]
    pub fn tools_of(&self, agent: &str) -> Vec<Arc<SourceTool>> {
        let equipping = self.all.values().filter(|source| source.settings.equips(agent));
        equipping.flat_map(|source| source.locked(|state| state.tools.clone())).collect()
    }
}

impl Source {
    fn locked<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes how the server is; one that is not connected offers nothing.
    fn stand(&self, name: &'static str, error: Option<String>) {
        let had_tools = self.locked(|state| {
            let had_tools = !state.tools.is_empty();
            state.tools.clear();
            state.status.tools.clear();
            state.status.state = name;
            state.status.since = Millis::now().iso();
            state.status.error = error.or(state.status.error.take());
            had_tools
        });
        if had_tools {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// Keeps the server connected until `cancel` says to end.
    async fn keep(self: Arc<Self>, cancel: CancellationToken) {
        let mut pause = RETRY.0;
        while !cancel.is_cancelled() {
            let began = tokio::time::Instant::now();
            self.stand("connecting", None);
            let reason = match cancel.run_until_cancelled(self.connect()).await {
                None => return,
                Some(Ok((running, changed))) => self.serve(running, &changed, &cancel).await,
                Some(Err(reason)) => reason,
            };
            if cancel.is_cancelled() {
                return;
            }
            tracing::warn!(mcp.source = self.name, reason, "an MCP server whose tools agents use is gone");
            self.stand("waiting", Some(reason));
            pause = if began.elapsed() > STEADY { RETRY.0 } else { pause };
            // Not all at once, if several have lost the same machine.
            let waited = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            cancel.run_until_cancelled(tokio::time::sleep(waited)).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    async fn connect(&self) -> Result<(RunningService<RoleClient, Listener>, Arc<Notify>), String> {
        let changed = Arc::new(Notify::new());
        let listener = Listener { changed: Arc::clone(&changed) };
        let connecting = connect::connect(&self.settings, listener);
        let running = tokio::time::timeout(CONNECT, connecting)
            .await
            .map_err(|_| format!("it did not answer within {} s", CONNECT.as_secs()))??;
        Ok((running, changed))
    }

    /// Offers what the server offers until it is gone; returns why.
    async fn serve(
        &self,
        running: RunningService<RoleClient, Listener>,
        changed: &Notify,
        cancel: &CancellationToken,
    ) -> String {
        let (peer, end) = (running.peer().clone(), running.cancellation_token());
        let mut gone = std::pin::pin!(running.waiting());
        loop {
            let listed = tokio::select! {
                listed = tokio::time::timeout(LIST, peer.list_all_tools()) => listed,
                _ = &mut gone => return "it ended".to_owned(),
                () = cancel.cancelled() => break,
            };
            match listed {
                Ok(Ok(tools)) => self.offer(&peer, tools),
                Ok(Err(error)) => {
                    end.cancel();
                    return format!("it does not list its tools: {error}");
                }
                Err(_) => {
                    end.cancel();
                    return "it does not list its tools in time".to_owned();
                }
            }
            tokio::select! {
                () = changed.notified() => {}
                // Over a network one that is gone says nothing.
                () = tokio::time::sleep(HEARTBEAT) => {}
                _ = &mut gone => return "it ended".to_owned(),
                () = cancel.cancelled() => break,
            }
        }
        // A program gets the chance to end by itself; then it is killed.
        end.cancel();
        drop(tokio::time::timeout(END, gone).await);
        String::new()
    }

    fn offer(&self, peer: &rmcp::Peer<RoleClient>, tools: Vec<rmcp::model::Tool>) {
        let own = tools.into_iter().filter_map(|tool| SourceTool::new(&self.name, &self.host, tool, peer.clone()));
        let tools: Vec<_> = own.map(Arc::new).collect();
        let info = peer.peer_info();
        let names: Vec<_> = tools.iter().map(|tool| tool.name.clone()).collect();
        let is_other = self.locked(|state| {
            let is_other = !tools.iter().map(|tool| tool.told()).eq(state.tools.iter().map(|tool| tool.told()));
            if state.status.tools != names {
                tracing::info!(mcp.source = self.name, tools = names.len(), "an MCP server has other tools");
            }
            if state.status.state != "connected" {
                state.status.state = "connected";
                state.status.since = Millis::now().iso();
                state.status.connected += 1;
                state.status.error = None;
            }
            state.status.server = info.as_ref().and_then(|info| info.server_info.as_ref().map(|it| it.name.clone()));
            state.status.protocol = info.as_ref().map(|info| info.protocol_version.to_string());
            state.status.tools = names;
            state.tools = tools;
            is_other
        });
        if is_other {
            self.version.send_modify(|version| *version += 1);
        }
    }
}

/// What the host is to a server it has connected to.
pub(crate) struct Listener {
    changed: Arc<Notify>,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(Default::default(), Implementation::new("hotbay", env!("CARGO_PKG_VERSION")))
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}
