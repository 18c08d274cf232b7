//! The server's counters over the last minutes, read from Prometheus' text format.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::{BTreeMap, VecDeque};

/// How many samples are kept; at one in five seconds, fifteen minutes.
const SAMPLES: usize = 180;

/// The sums of counters at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sample {
    time: i64,
    /// Runs of agents and workflows that came to an end or wait.
    pub(crate) runs: f64,
    /// Those that failed.
    pub(crate) failures: f64,
    pub(crate) requests: f64,
    pub(crate) input_tokens: f64,
    pub(crate) output_tokens: f64,
    /// Tokens by model.
    pub(crate) models: BTreeMap<String, f64>,
    pub(crate) runs_in_flight: f64,
    pub(crate) streams: f64,
    pub(crate) connections: f64,
    pub(crate) limited: f64,
    pub(crate) queue: f64,
    pub(crate) shed: f64,
    /// How many requests took at most so many seconds, by bound.
    pub(crate) latencies: Vec<(f64, f64)>,
}

/// Samples, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    samples: VecDeque<Sample>,
}

impl Metrics {
    /// Reads a text of metrics.
    pub(crate) fn learn(&mut self, text: &str, now: i64) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample::read(text, now));
    }

    /// Returns the newest sample.
    pub(crate) fn last(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// Returns by how much a counter rose from each sample to the next, the newest last. A counter
    /// that fell was a new server's.
    pub(crate) fn rises(&self, counter: impl Fn(&Sample) -> f64) -> Vec<u64> {
        let pairs = self.samples.iter().zip(self.samples.iter().skip(1));
        pairs.map(|(before, after)| whole(counter(after) - counter(before))).collect()
    }

    /// Returns by how much a counter rises in a minute, over the last minute.
    pub(crate) fn per_minute(&self, counter: impl Fn(&Sample) -> f64) -> Option<f64> {
        let last = self.samples.back()?;
        let start = self.samples.iter().find(|sample| sample.time >= last.time - 60_000)?;
        let minutes = f64::from(i32::try_from(last.time - start.time).ok()?) / 60_000.0;
        // A few seconds say nothing about a minute.
        (minutes >= 0.25).then(|| (counter(last) - counter(start)).max(0.0) / minutes)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is meant")]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

impl Sample {
    fn read(text: &str, time: i64) -> Self {
        let mut sample = Self { time, ..Self::default() };
        let mut buckets: BTreeMap<String, f64> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Some(value) = value.parse::<f64>().ok().filter(|value| value.is_finite()) else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            match name {
                "hotbay_http_requests_total" => sample.requests += value,
                "hotbay_http_request_duration_seconds_bucket" => {
                    // A stream's time says how long somebody listened.
                    if !label(labels, "route").is_some_and(|route| route.contains("events") || route.contains("stream"))
                        && let Some(bound) = label(labels, "le")
                    {
                        *buckets.entry(bound.to_owned()).or_default() += value;
                    }
                }
                "hotbay_runs_total" => {
                    sample.runs += value;
                    if matches!(label(labels, "outcome"), Some("failed" | "error" | "tripwire")) {
                        sample.failures += value;
                    }
                }
                "hotbay_model_tokens_total" => {
                    match label(labels, "direction") {
                        Some("input") => sample.input_tokens += value,
                        Some("output") => sample.output_tokens += value,
                        _ => {}
                    }
                    let model = label(labels, "model").unwrap_or_default();
                    *sample.models.entry(model.to_owned()).or_default() += value;
                }
                "hotbay_runs_in_flight" => sample.runs_in_flight = value,
                "hotbay_streams_open" => sample.streams = value,
                "hotbay_connections" => sample.connections = value,
                "hotbay_limited_total" => sample.limited += value,
                "hotbay_record_queue_length" => sample.queue = value,
                "hotbay_shed_records_total" => sample.shed += value,
                _ => {}
            }
        }
        sample.latencies =
            buckets.into_iter().filter_map(|(bound, count)| Some((parse_bound(&bound)?, count))).collect();
        sample.latencies.sort_by(|one, other| one.0.total_cmp(&other.0));
        sample
    }

    /// Returns the latency, in milliseconds, that this share of the requests did not exceed: the
    /// bound of a bucket.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.latencies.last()?.1;
        let found = self.latencies.iter().find(|(_, count)| *count >= all * share)?;
        (all > 0.0 && found.0.is_finite()).then_some(found.0 * 1000.0)
    }
}

fn parse_bound(text: &str) -> Option<f64> {
    if text == "+Inf" { Some(f64::INFINITY) } else { text.parse().ok() }
}

/// Returns the value of a label. Values with escaped quotes end early, which none of those read has.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = labels.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP x y\n\
        hotbay_runs_total{kind=\"agent\",name=\"a\",outcome=\"success\"} 8\n\
        hotbay_runs_total{kind=\"workflow\",name=\"w\",outcome=\"failed\"} 2\n\
        hotbay_model_tokens_total{model=\"m\",direction=\"input\"} 40\n\
        hotbay_model_tokens_total{model=\"m\",direction=\"output\"} 16\n\
        hotbay_http_request_duration_seconds_bucket{route=\"/api/tools\",method=\"GET\",le=\"0.001\"} 90\n\
        hotbay_http_request_duration_seconds_bucket{route=\"/api/tools\",method=\"GET\",le=\"0.01\"} 99\n\
        hotbay_http_request_duration_seconds_bucket{route=\"/api/tools\",method=\"GET\",le=\"+Inf\"} 100\n\
        hotbay_http_request_duration_seconds_bucket{route=\"/api/events\",method=\"GET\",le=\"+Inf\"} 7\n\
        nonsense\nhotbay_connections NaN\n";

    #[test]
    fn counters_are_summed_over_their_labels() {
        let mut metrics = Metrics::default();
        metrics.learn(TEXT, 0);
        let sample = metrics.last().unwrap();
        assert_eq!((sample.runs, sample.failures, sample.input_tokens, sample.output_tokens), (10.0, 2.0, 40.0, 16.0));
        assert_eq!(sample.models.get("m"), Some(&56.0));
        assert_eq!((sample.quantile(0.5), sample.quantile(0.99), sample.quantile(1.0)), (Some(1.0), Some(10.0), None));
    }

    #[test]
    fn rises_are_between_samples_and_never_negative() {
        let mut metrics = Metrics::default();
        for (time, runs) in [(0, 5), (30_000, 8), (60_000, 1)] {
            metrics.learn(&format!("hotbay_runs_total{{outcome=\"success\"}} {runs}"), time);
        }
        assert_eq!(metrics.rises(|sample| sample.runs), [3, 0]);
        metrics.learn("hotbay_runs_total 7", 90_000);
        assert_eq!(metrics.per_minute(|sample| sample.runs), Some(0.0));
        for time in 0..500 {
            metrics.learn("", time);
        }
        assert_eq!(metrics.samples.len(), SAMPLES);
    }
}
