//! What happens to plugins, made into live events. The plugin layer knows nothing of those.

use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;

use crate::{
    observe::events::Events,
    plugin::{PluginChange, PluginEvent, Plugins},
    types::{
        event::{Event, EventKind},
        log::Level,
        plugin::{CanaryState, GenerationState, PluginStatus},
    },
};

/// Tells what there is, and then what happens, until it is cancelled.
///
/// `changes` was subscribed before: what happens meanwhile is told as well.
pub(crate) async fn tell(
    plugins: Plugins,
    mut changes: Receiver<PluginEvent>,
    events: Events,
    cancel: CancellationToken,
) {
    plugins.list().iter().for_each(|status| events.publish(|| found(status)));
    loop {
        let Some(change) = cancel.run_until_cancelled(changes.recv()).await else { return };
        match change {
            Ok(PluginEvent { plugin, change }) => events.publish(|| changed(&plugin, &change)),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(
                    missed,
                    "live events lack some changes of plugins; `hotbay plugin list` shows the outcome"
                );
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Returns what is told of a plugin that was there before anybody could listen.
fn found(status: &PluginStatus) -> Event {
    match (status.generation, &status.last_error) {
        (Some(generation), _) => {
            event(&status.name, "loaded").number("generation", generation).text("version", &status.version)
        }
        (None, Some(error)) => refused(&status.name, &error.code, &error.message),
        (None, None) => event(&status.name, status.state.as_str()),
    }
}

fn changed(plugin: &str, change: &PluginChange) -> Event {
    match change {
        PluginChange::Serving { generation: 1 } => event(plugin, "loaded").number("generation", 1),
        PluginChange::Serving { generation } => event(plugin, "swapped").number("generation", *generation),
        PluginChange::Failed { error } => refused(plugin, error.code.as_str(), &error.message),
        PluginChange::Crashed { generation, how } => {
            event(plugin, "crashed").level(Level::Error).number("generation", *generation).text("message", how)
        }
        PluginChange::Removed => event(plugin, "removed"),
        PluginChange::Disabled => event(plugin, "disabled"),
        PluginChange::Canary { state, generation, reason } => {
            let level = if *state == CanaryState::RolledBack { Level::Warn } else { Level::Info };
            let event = event(plugin, "canary").level(level).word("state", state.as_str());
            event.number("generation", *generation).maybe("reason", Some(&**reason).filter(|reason| !reason.is_empty()))
        }
        PluginChange::RolledBack { generation, reason } => {
            event(plugin, "rolled-back").level(Level::Warn).number("generation", *generation).text("reason", reason)
        }
        PluginChange::Retired { generation, state } => {
            let level = if *state == GenerationState::Stuck { Level::Warn } else { Level::Info };
            event(plugin, state.as_str()).level(level).number("generation", *generation)
        }
    }
}

fn refused(plugin: &str, code: &str, message: &str) -> Event {
    event(plugin, "refused").level(Level::Warn).text("code", code).text("message", message)
}

fn event(plugin: &str, what: &'static str) -> Event {
    Event::now(EventKind::Plugin, what).plugin(Some(plugin))
}
