//! Where log records go: to standard error, to where they are kept, and to a file.
//!
//! What is kept and what is in the file is the same; what is shown has a filter of its own.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

use super::Failure;
use crate::{
    config::{LogFormat, LogSettings, RecordSettings},
    observe::{file::LogFile, layer::RecordLayer},
};

/// Starts the log.
///
/// # Errors
/// If the log file cannot be opened.
pub(super) fn start(settings: &LogSettings, record: &RecordSettings) -> Result<(), Failure> {
    // The filters were checked with the other settings. The library that speaks MCP tells of every
    // session at `info`, which is for those who ask for it by name.
    let filter = |text: &str| {
        let text = if matches!(text, "off" | "error") { text.to_owned() } else { format!("rmcp=warn,{text}") };
        EnvFilter::try_new(text).unwrap_or_default()
    };
    let shown = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let shown: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => shown.json().flatten_event(true).with_filter(filter(&settings.filter)).boxed(),
        LogFormat::Text => {
            let color = settings.color && io::stderr().is_terminal();
            shown.with_ansi(color).with_filter(filter(&settings.filter)).boxed()
        }
    };
    let file = match &settings.file {
        Some(path) => {
            let failed =
                |error| format!("cannot open the log file {}: {error}; name another with --log-file", path.display());
            Some(LogFile::open(path).map_err(failed)?)
        }
        None => None,
    };
    let kept = if record.is_on() { &record.filter } else { &settings.filter };
    let kept =
        (record.is_on() || file.is_some()).then(|| RecordLayer { recorder: None, file }.with_filter(filter(kept)));
    let started = tracing_subscriber::registry().with(shown).with(kept).try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "the log was started already");
    }
    Ok(())
}
