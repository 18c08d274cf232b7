//! An open plugin, seen from inside: what all its calls share.

use std::{any::Any, sync::OnceLock};

use crate::{abi::HostArc, guard, runtime::LazyRuntime};

type Anything = Box<dyn Any + Send + Sync>;

/// What the calls of one open plugin share.
pub(crate) struct Opened {
    name: String,
    host: HostArc,
    runtime: LazyRuntime,
    // Both are dropped through the guard: their types are the author's.
    config: Option<Anything>,
    state: OnceLock<Anything>,
}

impl Opened {
    pub(crate) fn new(name: &str, host: HostArc, config: Anything) -> Self {
        Self {
            name: name.to_owned(),
            host,
            runtime: LazyRuntime::new(name),
            config: Some(config),
            state: OnceLock::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn host(&self) -> &HostArc {
        &self.host
    }

    pub(crate) fn runtime(&self) -> &LazyRuntime {
        &self.runtime
    }

    /// Keeps what `open` made; only `open` calls this, once.
    pub(crate) fn set_state(&self, state: Anything) {
        self.state.get_or_init(|| state);
    }

    pub(crate) fn config<C: 'static>(&self) -> &C {
        let config = self.config.as_deref().and_then(|config| (config as &dyn Any).downcast_ref());
        config.unwrap_or_else(|| {
            panic!("the configuration is no `{}`: name that type in `plugin!(config: ..)`", std::any::type_name::<C>())
        })
    }

    pub(crate) fn state<S: 'static>(&self) -> &S {
        let state = self.state.get().and_then(|state| (&**state as &dyn Any).downcast_ref());
        state.unwrap_or_else(|| {
            panic!("the state is no `{}`: return one from `plugin!(open: ..)`", std::any::type_name::<S>())
        })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _runtime = self.runtime.enter_if_started();
        let (state, config) = (self.state.take(), self.config.take());
        // The host may be gone or revoked by now, so a panic here is only contained.
        let outcomes = [guard::catch(move || drop(state)), guard::catch(move || drop(config))];
        drop(outcomes);
    }
}
