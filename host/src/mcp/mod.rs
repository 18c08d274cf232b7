//! What plugins offer, and third-party MCP servers, offered to MCP clients.
//!
//! A plugin's group is a server under its own id; one more server offers everything, with names
//! that begin with their source. [`catalog`] says what each of them has, made anew for each
//! snapshot of the registry and each change of a third-party server; `server` answers a client, whichever generation of the protocol it
//! speaks; `mount` has what serves each id over Streamable HTTP, [`legacy`] the sessions of the
//! older transport. `changes` tells clients when a list is another after a swap.
//! The protocol itself is `rmcp`'s.

pub mod catalog;
pub mod legacy;
pub mod result;

mod asked;
mod call;
mod changes;
mod messages;
mod mount;
mod page;
mod request;
mod seal;
mod server;

use std::{path::Path, sync::Arc};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::{config::McpSettings, engine::Engine, sources::Sources, tasks::Tasks, types::id::Millis};
use catalog::{Catalog, Catalogs};
use changes::Watchers;
use legacy::LegacySessions;
use mount::Mounts;
pub use mount::Service;
use seal::Seal;

/// Everything about MCP clients. Cheap to clone.
#[derive(Clone)]
pub struct Mcp {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    sources: Sources,
    settings: McpSettings,
    body_limit: usize,
    tasks: Tasks,
    /// Made anew when the registry has another snapshot.
    catalogs: ArcSwap<Catalogs>,
    watchers: Watchers,
    mounts: Mounts,
    legacy: LegacySessions,
    seal: Seal,
    since: Millis,
}

impl Mcp {
    /// Returns what serves MCP clients over an engine that is connected to its sources. `data` keeps the key that what clients
    /// carry for the host is signed with; sessions are tasks of `tasks`.
    ///
    /// # Errors
    /// If the key can be neither read nor made.
    pub fn new(
        engine: Engine,
        settings: McpSettings,
        body_limit: usize,
        tasks: Tasks,
        data: &Path,
    ) -> std::io::Result<Self> {
        let sources = engine.sources();
        let catalogs = Catalogs::of(&engine.snapshot(), &sources, settings.server.as_deref());
        let shared = Shared {
            catalogs: ArcSwap::from_pointee(catalogs),
            engine,
            sources,
            settings,
            body_limit,
            tasks,
            watchers: Watchers::default(),
            mounts: Mounts::default(),
            legacy: LegacySessions::default(),
            seal: Seal::open(data)?,
            since: Millis::now(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Returns who may speak MCP.
    #[must_use]
    pub fn settings(&self) -> &McpSettings {
        &self.shared.settings
    }

    /// Returns since when servers are what they are, as far as clients are told.
    #[must_use]
    pub fn since(&self) -> Millis {
        self.shared.since
    }

    /// Returns what all servers offer now.
    #[must_use]
    pub fn catalogs(&self) -> Arc<Catalogs> {
        self.shared.catalogs()
    }

    /// Returns what a server offers now.
    #[must_use]
    pub fn catalog(&self, id: &str) -> Option<Arc<Catalog>> {
        self.catalogs().get(id).cloned()
    }

    /// Tells clients of changed lists until `cancel` says to end.
    pub async fn watch(self, cancel: CancellationToken) {
        let (mut plugins, mut sources) = (self.shared.engine.subscribe(), self.shared.sources.subscribe());
        let mut known = self.catalogs();
        loop {
            let changed = tokio::select! {
                changed = plugins.changed() => changed,
                changed = sources.changed() => changed,
                () = cancel.cancelled() => return,
            };
            if changed.is_err() {
                return;
            }
            let now = self.catalogs();
            self.shared.mounts.keep_only(|id| now.get(id).is_some());
            self.shared.legacy.keep_only(|id| now.get(id).is_some());
            for (id, changed) in now.changes_since(&known) {
                self.shared.watchers.tell(&id, &changed).await;
            }
            known = now;
        }
    }
}

impl Shared {
    fn catalogs(&self) -> Arc<Catalogs> {
        let (known, snapshot) = (self.catalogs.load_full(), self.engine.snapshot());
        if known.version == (snapshot.version, self.sources.version()) {
            return known;
        }
        // Two may make it at once; both make the same.
        let made = Arc::new(Catalogs::of(&snapshot, &self.sources, self.settings.server.as_deref()));
        self.catalogs.store(Arc::clone(&made));
        made
    }
}
