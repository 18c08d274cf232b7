//! The panic hook of the plugin's own copy of the standard library.
//!
//! Inside a guard it notes where the panic happened and stays silent: the guard
//! reports. Elsewhere (a task the plugin spawned) it writes to the host's log if the
//! plugin was opened as a dylib, else it leaves the panic to the hook it found, so a
//! test binary that links a plugin still prints its failed assertions.

use std::{
    cell::{Cell, RefCell},
    panic::{self, PanicHookInfo},
    sync::{Mutex, Once, PoisonError},
};

use serde_json::json;

use crate::{abi::HostArc, ctx::Level};

/// Installs the hook once per copy of the standard library.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DEPTH.get() > 0 {
                let location = info.location().map(ToString::to_string);
                LOCATION.with(|slot| slot.replace(location));
            } else if !report(info) {
                earlier(info);
            }
        }));
    });
}

/// Sends the panics of the plugin's own threads to this host from now on.
pub(crate) fn set_host(host: &HostArc, plugin: &str) {
    *HOST.lock().unwrap_or_else(PoisonError::into_inner) = Some((host.clone(), plugin.to_owned()));
}

/// Marks the current thread as guarded while it lives.
pub(crate) struct Watch(());

impl Watch {
    pub(crate) fn begin() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self(())
    }

    /// Returns where the thread panicked last, once.
    pub(crate) fn location(&self) -> Option<String> {
        LOCATION.with(RefCell::take)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

// One host per dylib: statics are the image's own. Held for a clone only.
static HOST: Mutex<Option<(HostArc, String)>> = Mutex::new(None);

fn report(info: &PanicHookInfo<'_>) -> bool {
    let Some((host, plugin)) = HOST.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return false };
    let message = info.payload_as_str().unwrap_or("the panic carries no text");
    let location = info.location().map(ToString::to_string);
    let thread = std::thread::current();
    let fields = json!({ "panic.message": message, "panic.location": location, "thread.name": thread.name() });
    host.log(
        0,
        Level::Error as u8,
        plugin.as_str().into(),
        "a thread of the plugin panicked".into(),
        fields.to_string().as_bytes().into(),
    );
    true
}
