//! Keeps a process of a plugin running: watches the one there is, starts the next.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Phase, Shared,
    policy::Next,
    session::{Loss, Session},
};
use crate::plugin::{
    call::CallError,
    supervisor::{PluginChange, PluginEvent},
};

/// Keeps one running until the generation is shut down.
pub(super) async fn keep(shared: Arc<Shared>, mut session: Session) {
    loop {
        let began = Instant::now();
        let loss = tokio::select! {
            loss = session.serve() => loss,
            () = shared.closing.cancelled() => {
                let deadline = *shared.shutdown_deadline.lock().unwrap_or_else(PoisonError::into_inner);
                session.shut_down(deadline).await;
                break;
            }
        };
        // First of all: calls that come now wait for the next process.
        shared.phase.send_replace(Phase::Starting);
        let blamed = matches!(&loss, Loss::Fault(super::link::Fault::Stuck));
        let how = session.end(loss).await;
        let plugin = Arc::clone(&shared.launch.plugin);
        let answered = session.link().answered();
        session.link().lose(|idempotent| CallError::Crashed {
            plugin: Arc::clone(&plugin),
            how: Arc::clone(&how),
            // Who was given up is to blame, and is not among those who wait.
            retryable: idempotent || blamed,
        });
        drop(session);
        shared.crashed(&how);
        let next = shared.record().policy.crashed(Instant::now(), began.elapsed(), answered);
        let Some(another) = start_again(&shared, next).await else { break };
        session = another;
        shared.phase.send_replace(Phase::Serving(Arc::clone(session.link())));
    }
    shared.phase.send_replace(Phase::Closed);
}

/// Starts a process, after as many failures as it takes; `None` if the generation is shut down meanwhile.
async fn start_again(shared: &Shared, mut next: Next) -> Option<Session> {
    loop {
        let wait = match next {
            Next::Start { after } => {
                shared.phase.send_replace(Phase::Starting);
                after
            }
            Next::Rest { pause } => {
                shared.phase.send_replace(Phase::Resting(Instant::now() + pause));
                tracing::error!(
                    plugin.name = %shared.launch.plugin,
                    plugin.generation = shared.launch.generation,
                    seconds = pause.as_secs(),
                    "a plugin's process crashed too often and is not started again for a while"
                );
                pause
            }
        };
        if wait > Duration::ZERO {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shared.closing.cancelled() => return None,
            }
        }
        shared.record().policy.tries();
        let opened = tokio::select! {
            opened = Session::open(Arc::clone(&shared.launch), shared.host.clone()) => opened,
            () = shared.closing.cancelled() => return None,
        };
        match opened {
            Ok(session) => {
                shared.record().restarts += 1;
                return Some(session);
            }
            Err(error) => {
                shared.crashed(&error.message);
                next = shared.record().policy.crashed(Instant::now(), Duration::ZERO, 0);
            }
        }
    }
}

impl Shared {
    /// Tells whoever wants to know.
    fn crashed(&self, how: &str) {
        let (plugin, generation) = (&self.launch.plugin, self.launch.generation);
        tracing::warn!(plugin.name = %plugin, plugin.generation = generation, how, "a plugin's process crashed");
        let mut record = self.record();
        record.crashes += 1;
        record.last_crash = Some(how.to_owned());
        drop(record);
        let change = PluginChange::Crashed { generation, how: how.to_owned() };
        // Nobody listening is fine.
        drop(self.events.send(PluginEvent { plugin: plugin.to_string(), change }));
    }
}
