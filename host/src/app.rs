//! The long-lived parts of a server.

use std::sync::Arc;

use crate::{config::Config, model::catalog::Models, plugin::Plugins};

/// Everything handlers reach.
pub struct App {
    /// Settings.
    pub config: Config,
    /// Plugins.
    pub plugins: Plugins,
    /// Models.
    pub models: Arc<Models>,
}

/// [`App`], shared.
pub type AppState = Arc<App>;
