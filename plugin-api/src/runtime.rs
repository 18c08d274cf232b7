//! The plugin's own tokio runtime, made when the first future is polled.
//!
//! A dylib has its own copy of tokio, which cannot see the host's runtime. Each poll
//! therefore enters this one, so timers, sockets and spawned tasks of the plugin work
//! although the host's threads poll.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

use crate::Result;

/// A runtime that starts on first use and is ended once.
pub(crate) struct LazyRuntime {
    name: String,
    handle: OnceLock<Handle>,
    // Holds the runtime until it is shut down; locked only to start and to end it.
    owned: Mutex<Option<Runtime>>,
}

impl LazyRuntime {
    pub(crate) fn new(plugin: &str) -> Self {
        Self { name: plugin.to_owned(), handle: OnceLock::new(), owned: Mutex::new(None) }
    }

    /// Enters the runtime, starting it first if need be.
    pub(crate) fn enter(&self) -> Result<EnterGuard<'_>> {
        Ok(self.handle()?.enter())
    }

    /// Enters the runtime only if something has started it.
    pub(crate) fn enter_if_started(&self) -> Option<EnterGuard<'_>> {
        self.handle.get().map(Handle::enter)
    }

    pub(crate) fn handle(&self) -> Result<&Handle> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        if self.handle.get().is_none() {
            let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(&self.name).enable_all().build()?;
            // Nobody else sets the handle: the lock is held.
            self.handle.get_or_init(|| runtime.handle().clone());
            *owned = Some(runtime);
        }
        Ok(self.handle.get().expect("the handle was set while the lock was held"))
    }

    /// Ends the runtime, waiting up to `timeout` for blocking work, off the caller's thread.
    pub(crate) async fn shutdown(&self, timeout: Duration) -> Result<()> {
        let Some(runtime) = self.take() else { return Ok(()) };
        let (done, ended) = tokio::sync::oneshot::channel();
        // Ending a runtime blocks, and a poll must not.
        std::thread::Builder::new().name(format!("{}-end", self.name)).spawn(move || {
            runtime.shutdown_timeout(timeout);
            // Nobody may be waiting any more; the runtime has ended all the same.
            done.send(()).unwrap_or_default();
        })?;
        drop(ended.await);
        Ok(())
    }

    fn take(&self) -> Option<Runtime> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for LazyRuntime {
    fn drop(&mut self) {
        // Reached without `shutdown` only if the host drops the plugin early. Waiting here
        // could block a thread of the host, so what runs is left to end by itself.
        if let Some(runtime) = self.take() {
            runtime.shutdown_background();
        }
    }
}
