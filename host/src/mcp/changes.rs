//! Who is told when a list is another, or a resource: sessions of the older protocol by their peer,
//! subscribers of the newer one by their stream.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use rmcp::{
    Peer, RoleServer,
    model::{ResourceUpdatedNotificationParam, SubscriptionFilter},
    service::SubscriptionSink,
};

/// How long a client may take to be told; one that reads nothing is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is other than it was.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    pub(super) tools: bool,
    pub(super) prompts: bool,
    /// The list of resources, or that of templates.
    pub(super) resources: bool,
    /// What one resource holds, by its URI.
    pub(super) resource: Option<String>,
}

/// All that want to be told.
#[derive(Default)]
pub(super) struct Watchers {
    next: AtomicU64,
    // Held to add, remove and list; never while somebody is told.
    list: Arc<Mutex<HashMap<u64, Watcher>>>,
}

#[derive(Clone)]
struct Watcher {
    server: String,
    way: Way,
}

#[derive(Clone)]
enum Way {
    /// A session, and the resources it has subscribed to.
    Session(Peer<RoleServer>, Arc<Mutex<HashSet<String>>>),
    /// A stream, and what it has asked for.
    Stream(SubscriptionSink, SubscriptionFilter),
}

/// Tells as long as it is kept.
pub(super) struct Watching {
    id: u64,
    list: Arc<Mutex<HashMap<u64, Watcher>>>,
}

impl Changed {
    pub(super) fn is_any(&self) -> bool {
        self.tools || self.prompts || self.resources || self.resource.is_some()
    }
}

impl Watchers {
    /// Tells a session from now on.
    pub(super) fn session(
        &self,
        server: &str,
        peer: Peer<RoleServer>,
        resources: Arc<Mutex<HashSet<String>>>,
    ) -> Watching {
        self.add(&mut locked(&self.list), Watcher { server: server.to_owned(), way: Way::Session(peer, resources) })
    }

    /// Tells a stream from now on; `None` if the server has `most` of them.
    pub(super) fn stream(
        &self,
        server: &str,
        sink: SubscriptionSink,
        accepted: SubscriptionFilter,
        most: usize,
    ) -> Option<Watching> {
        let mut list = locked(&self.list);
        let is_one = |it: &&Watcher| it.server == server && matches!(it.way, Way::Stream(..));
        if list.values().filter(is_one).count() >= most {
            return None;
        }
        Some(self.add(&mut list, Watcher { server: server.to_owned(), way: Way::Stream(sink, accepted) }))
    }

    fn add(&self, list: &mut HashMap<u64, Watcher>, watcher: Watcher) -> Watching {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        list.insert(id, watcher);
        Watching { id, list: Arc::clone(&self.list) }
    }

    /// Tells all clients of a server.
    pub(super) async fn tell(&self, server: &str, changed: &Changed) {
        let told: Vec<Watcher> = locked(&self.list).values().filter(|it| it.server == server).cloned().collect();
        join_all(told.iter().map(|watcher| async {
            if tokio::time::timeout(PATIENCE, watcher.tell(changed)).await.is_err() {
                tracing::debug!(mcp.server = server, "a client does not listen to what has changed");
            }
        }))
        .await;
    }
}

impl Watcher {
    /// A client that cannot be told is gone, and ends by itself.
    async fn tell(&self, changed: &Changed) {
        match &self.way {
            Way::Session(peer, subscribed) => {
                if changed.tools {
                    drop(peer.notify_tool_list_changed().await);
                }
                if changed.prompts {
                    drop(peer.notify_prompt_list_changed().await);
                }
                if changed.resources {
                    drop(peer.notify_resource_list_changed().await);
                }
                let uri = changed.resource.clone().filter(|uri| locked(subscribed).contains(uri));
                if let Some(uri) = uri {
                    drop(peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await);
                }
            }
            Way::Stream(sink, accepted) => {
                if changed.tools && accepted.tools_list_changed == Some(true) {
                    drop(sink.notify_tool_list_changed().await);
                }
                if changed.prompts && accepted.prompts_list_changed == Some(true) {
                    drop(sink.notify_prompt_list_changed().await);
                }
                if changed.resources && accepted.resources_list_changed == Some(true) {
                    drop(sink.notify_resource_list_changed().await);
                }
                let wants = |uri: &String| accepted.resource_subscriptions.as_ref().is_some_and(|it| it.contains(uri));
                if let Some(uri) = changed.resource.clone().filter(wants) {
                    drop(sink.notify_resource_updated(uri).await);
                }
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let gone = locked(&self.list).remove(&self.id);
        drop(gone);
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
