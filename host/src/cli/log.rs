//! Where log records go: to standard error, and to where they are kept.
//!
//! Each has a filter of its own.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    config::{LogFormat, LogSettings, RecordSettings},
    observe::layer::RecordLayer,
};

pub(super) fn start(settings: &LogSettings, record: &RecordSettings) {
    // The filters were checked with the other settings.
    let filter = |text: &str| EnvFilter::try_new(text).unwrap_or_default();
    let shown = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let shown: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => shown.json().flatten_event(true).with_filter(filter(&settings.filter)).boxed(),
        LogFormat::Text => {
            let color = settings.color && io::stderr().is_terminal();
            shown.with_ansi(color).with_filter(filter(&settings.filter)).boxed()
        }
    };
    let kept = record.is_on().then(|| RecordLayer.with_filter(filter(&record.filter)));
    let started = tracing_subscriber::registry().with(shown).with(kept).try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "the log was started already");
    }
}
