//! `GET /metrics`: what is counted, in the text Prometheus reads; and the counting of requests.
//!
//! Requests are counted by the template of their route, never by the path they came with: one
//! who asks for a million paths makes no million numbers. A request costs three additions.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, header};

use super::{access::Access, endpoint::Endpoint, error::ApiError, limited::Work};
use crate::{
    app::{App, AppState},
    observe::metrics::{Histogram, Kind, Text},
    types::{
        log::Level,
        plugin::{BreakerState, PluginState},
    },
};

/// Where they are.
pub(super) const PATH: &str = "/metrics";

/// Statuses that are counted each by itself; others are counted together.
const STATUSES: [u16; 22] =
    [200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 422, 429, 500, 501, 502, 503, 504];

/// What is counted of requests.
pub(super) struct Requests {
    routes: Vec<Arc<Route>>,
    /// Those that go nowhere.
    unmatched: Arc<Route>,
}

/// What is counted of one route.
pub(super) struct Route {
    /// What it asks of the host.
    pub(super) work: Work,
    method: Method,
    /// Its template, as it is noted.
    pub(super) template: String,
    /// Who may call it.
    pub(super) access: Access,
    /// Its handler takes JSON.
    pub(super) takes_json: bool,
    /// By status, others in one more.
    statuses: [AtomicU64; STATUSES.len() + 1],
    latency: Histogram,
}

impl Route {
    fn of(endpoint: &Endpoint, template: String) -> Self {
        Self {
            work: endpoint.work,
            method: endpoint.method.clone(),
            template,
            access: endpoint.access,
            takes_json: endpoint.takes.body.is_some(),
            statuses: [const { AtomicU64::new(0) }; STATUSES.len() + 1],
            latency: Histogram::default(),
        }
    }

    /// Of what is not there, which is told to anybody.
    fn nowhere() -> Self {
        Self {
            work: Work::default(),
            method: Method::GET,
            template: String::new(),
            access: Access::OPEN,
            takes_json: false,
            statuses: [const { AtomicU64::new(0) }; STATUSES.len() + 1],
            latency: Histogram::default(),
        }
    }

    /// Counts a request whose answer began after so long.
    pub(super) fn answered(&self, status: StatusCode, after: Duration) {
        let place = STATUSES.binary_search(&status.as_u16()).unwrap_or(STATUSES.len());
        if let Some(count) = self.statuses.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.latency.record(after);
    }
}

impl Requests {
    /// Returns the counters of these routes.
    pub(super) fn new(prefix: &str, outside: &[Endpoint], inside: &[Endpoint]) -> Self {
        let outside = outside.iter().map(|endpoint| ("", endpoint));
        let all = outside.chain(inside.iter().map(|endpoint| (prefix, endpoint)));
        let route = |(prefix, endpoint): (&str, &Endpoint)| {
            Arc::new(Route::of(endpoint, format!("{prefix}{}", endpoint.template())))
        };
        Self { routes: all.map(route).collect(), unmatched: Arc::new(Route::nowhere()) }
    }

    /// Returns the counters of one of the routes.
    pub(super) fn of(&self, template: &str, method: &Method) -> &Arc<Route> {
        let mut routes = self.routes.iter();
        let found = routes.find(|route| route.method == *method && route.template == template);
        found.expect("they were made of all routes there are")
    }

    /// Returns the counters of what goes nowhere.
    pub(super) fn nowhere(&self) -> &Arc<Route> {
        &self.unmatched
    }

    fn write(&self, text: &mut Text) {
        let mut routes: Vec<_> = self
            .routes
            .iter()
            .map(|route| (route.template.as_str(), route.method.as_str(), &**route))
            .chain([("unmatched", "any", &*self.unmatched)])
            .collect();
        routes.sort_by_key(|(template, method, _)| (*template, *method));
        let asked = |(_, _, route): &&(&str, &str, &Route)| {
            route.statuses.iter().any(|count| count.load(Ordering::Relaxed) > 0)
        };
        let name = "hotbay_http_requests_total";
        text.family(name, Kind::Counter, "Requests that were answered, by route, method and status.");
        for (template, method, route) in routes.iter().filter(asked) {
            let statuses = STATUSES.iter().map(u16::to_string).chain(["other".to_owned()]);
            for (status, count) in statuses.zip(&route.statuses) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    text.sample(name, &[("route", template), ("method", method), ("status", &status)], count);
                }
            }
        }
        let name = "hotbay_http_request_duration_seconds";
        text.family(name, Kind::Histogram, "From a request's head to the head of its answer; streams go on after it.");
        for (template, method, route) in routes.iter().filter(asked) {
            text.histogram(name, &[("route", template), ("method", method)], &route.latency);
        }
    }
}

/// Returns all numbers.
pub(super) async fn show(
    State(app): State<AppState>,
    Extension(requests): Extension<Arc<Requests>>,
) -> Result<Response, ApiError> {
    let process = tokio::task::spawn_blocking(Process::look).await.map_err(ApiError::internal)?;
    let mut text = Text::default();
    requests.write(&mut text);
    app.limits.write(&mut text);
    app.observe.recorder().metrics().write(&mut text);
    plugins(&app, &mut text);
    store(&app, &mut text).await;
    recorder(&app, &mut text);
    process.write(&app, &mut text);
    Ok(([(header::CONTENT_TYPE, Text::CONTENT_TYPE)], text.finish()).into_response())
}

fn plugins(app: &App, text: &mut Text) {
    let plugins = app.plugins.numbers();
    let mut each = |name: &str, kind, help: &str, value: fn(&crate::types::plugin::PluginNumbers) -> u64| {
        text.family(name, kind, help);
        for plugin in &plugins {
            text.sample(name, &[("plugin", &plugin.name)], value(plugin));
        }
    };
    each("hotbay_plugin_calls_total", Kind::Counter, "Calls of plugins that ended.", |it| it.calls);
    each("hotbay_plugin_call_errors_total", Kind::Counter, "Calls of plugins that failed.", |it| it.errors);
    each("hotbay_plugin_calls_in_flight", Kind::Gauge, "Calls of plugins that go on.", |it| it.in_flight);
    each("hotbay_plugin_generations_total", Kind::Counter, "Generations of plugins that were opened.", |it| it.opened);
    each("hotbay_plugin_generations_alive", Kind::Gauge, "Generations that have not shut down.", |it| it.alive);
    each("hotbay_plugin_crashes_total", Kind::Counter, "Crashes of plugins' own processes.", |it| it.crashes);
    each(
        "hotbay_plugin_breaker_open",
        Kind::Gauge,
        "Whether a plugin's process crashed too often to be started now.",
        |it| u64::from(it.breaker == BreakerState::Open),
    );
    each("hotbay_plugin_mapped_images", Kind::Gauge, "Builds that stay in memory.", |it| it.mapped.count as u64);
    each("hotbay_plugin_mapped_bytes", Kind::Gauge, "The length of their files.", |it| it.mapped.bytes);
    each("hotbay_plugin_rolled_back_total", Kind::Counter, "Builds that were rolled back by themselves.", |it| {
        it.rolled_back
    });
    let name = "hotbay_plugin_canary_share";
    text.family(name, Kind::Gauge, "The share of calls a build on trial gets, 0 without one.");
    for plugin in &plugins {
        let share = plugin.canary.as_ref().map_or(0.0, |canary| canary.percent / 100.0);
        text.sample(name, &[("plugin", &plugin.name)], share);
    }
    for (name, help, failed) in [
        ("hotbay_plugin_canary_calls", "Calls of builds that are compared, since the trial began.", false),
        ("hotbay_plugin_canary_failed_calls", "Those of them that failed.", true),
    ] {
        text.family(name, Kind::Gauge, help);
        for (plugin, canary) in plugins.iter().filter_map(|plugin| Some((plugin, plugin.canary.as_ref()?))) {
            for (build, side) in [("new", canary.new), ("old", canary.old)] {
                let count = side.map_or(0, |side| if failed { side.failed } else { side.calls });
                text.sample(name, &[("plugin", &plugin.name), ("build", build)], count);
            }
        }
    }
    let name = "hotbay_plugin_state";
    text.family(name, Kind::Gauge, "What plugins are doing: 1 for the state each has.");
    for plugin in &plugins {
        for state in PluginState::ALL {
            let labels = [("plugin", plugin.name.as_str()), ("state", state.as_str())];
            text.sample(name, &labels, u8::from(plugin.state == state));
        }
    }
    let name = "hotbay_plugin_call_duration_seconds";
    text.family(name, Kind::Summary, "How long calls of the generation that serves took.");
    for plugin in &plugins {
        for (quantile, millis) in [("0.5", plugin.latency_ms.p50), ("0.99", plugin.latency_ms.p99)] {
            text.sample(name, &[("plugin", &plugin.name), ("quantile", quantile)], millis / 1000.0);
        }
    }
}

async fn store(app: &App, text: &mut Text) {
    let store = app.store.statistics();
    text.single("hotbay_store_writes_total", Kind::Counter, "Writes that are on the disk.", store.writes);
    let name = "hotbay_store_commit_duration_seconds";
    text.family(name, Kind::Summary, "Commits these took, of one write or of many, and their time.");
    text.sample(&format!("{name}_sum"), &[], store.committing.as_secs_f64());
    text.sample(&format!("{name}_count"), &[], store.commits);
    // A store that cannot be read is told by readiness.
    if let Ok(waiting) = app.store.embeddings().waiting().await {
        let help = "Messages that wait to be found by their meaning.";
        text.single("hotbay_memory_embeddings_waiting", Kind::Gauge, help, waiting);
    }
}

fn recorder(app: &App, text: &mut Text) {
    let recorder = app.observe.recorder();
    let (waiting, room) = recorder.depth();
    text.single("hotbay_record_queue_length", Kind::Gauge, "Records that wait to be written.", waiting);
    text.single("hotbay_record_queue_limit", Kind::Gauge, "Records that may wait.", room);
    if let Some(shed) = recorder.shed() {
        let name = "hotbay_shed_records_total";
        text.family(name, Kind::Counter, "Records that were not kept, for more came in than can be written.");
        for (level, count) in Level::ALL.into_iter().zip(&shed.logs) {
            let labels = [("kind", "log"), ("level", level.as_str())];
            text.sample(name, &labels, count.load(Ordering::Relaxed));
        }
        text.sample(name, &[("kind", "span"), ("level", "")], shed.spans.load(Ordering::Relaxed));
    }
    let statistics = app.observe.statistics();
    let taken = statistics.records.load(Ordering::Relaxed);
    text.single("hotbay_records_total", Kind::Counter, "Log records and spans that were taken.", taken);
    let in_memory = app.observe.in_memory();
    text.single("hotbay_records_not_indexed", Kind::Gauge, "Records that are not in an index yet.", in_memory);
    let memory = app.observe.memory();
    text.single("hotbay_records_memory_bytes", Kind::Gauge, "About what records in memory take.", memory);
    let failures = statistics.failures.load(Ordering::Relaxed);
    text.single("hotbay_record_failures_total", Kind::Counter, "Times records could not be written.", failures);
    text.family("hotbay_record_bytes", Kind::Gauge, "What logs and traces take on the disk.");
    for (place, bytes) in [("write-ahead log", &statistics.wal_bytes), ("index", &statistics.index_bytes)] {
        text.sample("hotbay_record_bytes", &[("in", place)], bytes.load(Ordering::Relaxed));
    }
    let events = recorder.events().statistics();
    text.single("hotbay_events_total", Kind::Counter, "Live events.", events.published);
    text.single("hotbay_events_kept", Kind::Gauge, "Live events kept for readers that come back.", events.kept);
    text.single("hotbay_event_readers", Kind::Gauge, "Readers of live events.", events.readers);
    let help = "Live events readers were too slow for, counted for each reader.";
    text.single("hotbay_events_missed_total", Kind::Counter, help, events.missed);
}

/// What the operating system knows of this process; nothing where it does not say.
struct Process {
    resident: Option<u64>,
    descriptors: Option<usize>,
}

impl Process {
    fn look() -> Self {
        let resident = fs::read_to_string("/proc/self/status").ok().and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        });
        // The directory that is read is one of them.
        let descriptors = fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1));
        Self { resident: resident.map(|kibibytes| kibibytes * 1024), descriptors }
    }

    fn write(&self, app: &App, text: &mut Text) {
        if let Some(resident) = self.resident {
            text.single("process_resident_memory_bytes", Kind::Gauge, "Memory the host has.", resident);
        }
        if let Some(descriptors) = self.descriptors {
            text.single("process_open_fds", Kind::Gauge, "Files and sockets the host has open.", descriptors);
        }
        let metrics = app.observe.recorder().metrics();
        let (up, started) = (metrics.started.elapsed(), metrics.started_at.0 as f64 / 1000.0);
        let help = "When the host started, in seconds since 1970.";
        text.single("process_start_time_seconds", Kind::Gauge, help, started);
        text.single("hotbay_uptime_seconds", Kind::Gauge, "How long the host has been up.", up.as_secs_f64());
        text.family("hotbay_build_info", Kind::Gauge, "Always 1; the label says what runs.");
        text.sample("hotbay_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_in_order() {
        assert!(STATUSES.is_sorted());
    }

    #[test]
    fn a_status_nobody_knows_is_counted_with_others() {
        let route = Route::nowhere();
        for status in [StatusCode::OK, StatusCode::IM_A_TEAPOT, StatusCode::LOOP_DETECTED] {
            route.answered(status, Duration::from_millis(1));
        }
        let counts = route.statuses.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!((counts[0], counts[STATUSES.len()], counts.iter().sum::<u64>()), (1, 2, 3));
    }
}
