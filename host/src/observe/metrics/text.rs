//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

use super::{Counters, Histogram};

/// What the numbers of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They come and go.
    Gauge,
    /// They count durations.
    Histogram,
    /// They are shares of durations.
    Summary,
}

/// A text that is being written: a family's head, then its samples.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
}

impl Text {
    /// The content type of the format.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins the samples of a name.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Writes one sample.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.put(format_args!("{name}"));
        for (index, (label, value)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            self.put(format_args!("{open}{label}=\"{}\"", Escaped(value)));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        self.put(format_args!("{close} {value}\n"));
    }

    /// Writes a family of one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// Writes a family of counters.
    pub fn counters<const N: usize>(&mut self, name: &str, help: &str, counters: &Counters<N>) {
        self.family(name, Kind::Counter, help);
        for (labels, value) in counters.all() {
            let labels: Vec<_> = labels.iter().map(|(label, value)| (*label, value.as_str())).collect();
            self.sample(name, &labels, value);
        }
    }

    /// Writes the samples of a histogram.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut count = 0;
        for (end, total) in histogram.buckets() {
            let end = if end.is_infinite() { "+Inf".to_owned() } else { end.to_string() };
            let labels: Vec<_> = labels.iter().copied().chain([("le", end.as_str())]).collect();
            self.sample(&format!("{name}_bucket"), &labels, total);
            count = total;
        }
        self.sample(&format!("{name}_sum"), labels, histogram.sum());
        self.sample(&format!("{name}_count"), labels, count);
    }

    /// Returns it.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.text.write_fmt(arguments).expect("text is written to memory");
    }
}

/// A label's value with what would end it made harmless.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_label() {
        let mut text = Text::default();
        text.family("x_total", Kind::Counter, "Xs.");
        text.sample("x_total", &[("a", "say \"hi\"\n\\"), ("b", "")], 1.5);
        let expected = "# HELP x_total Xs.\n# TYPE x_total counter\nx_total{a=\"say \\\"hi\\\"\\n\\\\\",b=\"\"} 1.5\n";
        assert_eq!(text.finish(), expected);
    }
}
