//! Fields of spans and records as text: `name=value`, apart by spaces.
//!
//! Each request is a span, and its fields are written when it begins, whether or not anything is
//! logged in it. So what most fields are, plain text, is put together here without the machinery of
//! formatting; the rest, and everything in colour, is what `tracing-subscriber` makes of it.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FormatFields,
        format::{DefaultFields, Writer},
    },
};

/// What most spans have room in.
const ROOM: usize = 160;

/// Writes fields.
#[derive(Debug, Default)]
pub(super) struct Fields(DefaultFields);

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut plain = Plain { text: String::with_capacity(ROOM), is_plain: !writer.has_ansi_escapes() };
        fields.record(&mut plain);
        if plain.is_plain { writer.write_str(&plain.text) } else { self.0.format_fields(writer, fields) }
    }
}

/// Fields that are texts without anything to escape; given up at the first that is not.
struct Plain {
    text: String,
    is_plain: bool,
}

impl Visit for Plain {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_simple = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
        let is_special = field.name() == "message" || field.name().starts_with("r#");
        self.is_plain =
            self.is_plain && !is_special && value.bytes().fold(true, |simple, byte| simple & is_simple(byte));
        if !self.is_plain {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(field.name());
        self.text.push_str("=\"");
        self.text.push_str(value);
        self.text.push('"');
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {
        self.is_plain = false;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex, PoisonError},
    };

    use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// Returns what a host logs of spans and records of all kinds.
    fn logged<N>(fields: N, ansi: bool) -> String
    where
        N: for<'w> FormatFields<'w> + Send + Sync + 'static,
    {
        let kept = Kept::default();
        let subscriber = SubscriberBuilder::default().without_time().with_ansi(ansi).with_writer(kept.clone());
        tracing::subscriber::with_default(subscriber.fmt_fields(fields).finish(), || {
            let whole = tracing::info_span!("request", http.method = "GET", http.path = "/a b", request.id = "");
            whole.in_scope(|| tracing::info!(plugin.name = "weather", text = "x", "a plugin serves"));
            let odd = tracing::info_span!(
                "odd",
                text = "\"\\ü\n\u{1b}[31m",
                number = 3,
                r#type = "t",
                later = tracing::field::Empty
            );
            odd.record("later", "now");
            let error = io::Error::other("broken");
            odd.in_scope(|| tracing::warn!(error = &error as &dyn std::error::Error, answer = %42, "failed"));
        });
        let bytes = kept.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_written_is_what_the_library_writes() {
        for ansi in [false, true] {
            let written = logged(Fields::default(), ansi);
            assert_eq!(written, logged(DefaultFields::default(), ansi));
            assert_eq!(written.lines().count(), 2, "{written}");
        }
        let line = logged(Fields::default(), false);
        assert!(line.contains(r#"request{http.method="GET" http.path="/a b" request.id=""}"#), "{line}");
    }
}
