//! The span of a load: from a file that is looked at to a generation that serves, or is refused.

use std::path::Path;

use serde_json::json;

use super::LoadError;
use crate::{
    observe::{Recorder, tracer::ActiveSpan},
    plugin::generation::Generation,
    types::{span::SpanKind, trace::TraceOptions},
};

/// A load that goes on. It is a trace of its own: no run waits for it.
pub(super) struct LoadSpan(ActiveSpan);

impl LoadSpan {
    /// Begins it. Until its manifest is read a plugin is known by its file.
    pub(super) fn begin(recorder: &Recorder, file: &Path) -> Self {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let span = recorder.begin_for(&TraceOptions::default(), SpanKind::Generic, || name(&stem));
        span.attribute("file", file.display().to_string());
        Self(span)
    }

    /// Notes which generation it comes to.
    pub(super) fn opened(&self, generation: &Generation) {
        let plugin = generation.plugin();
        self.0.entity("plugin", plugin, plugin);
        self.0.with(|span| {
            span.name = name(plugin);
            span.plugin = Some(plugin.to_string());
            span.attributes.insert("generation".to_owned(), generation.number().into());
            span.attributes.insert("hash".to_owned(), (*generation.identity().hash).into());
            span.attributes.insert("version".to_owned(), generation.manifest().version.as_str().into());
        });
    }

    /// Ends it with what came of it.
    pub(super) fn end(self, result: Result<(), &LoadError>) {
        match result {
            Ok(()) => {
                self.0.attribute("outcome", "serving");
                self.0.end();
            }
            Err(error) => {
                self.0.attribute("outcome", "refused");
                self.0.fail(json!({"message": error.to_string(), "name": error.code.to_string()}));
            }
        }
    }

    /// Forgets it: there was nothing to load.
    pub(super) fn forget(self) {
        self.0.forget();
    }
}

fn name(plugin: &str) -> String {
    format!("plugin load: '{plugin}'")
}
