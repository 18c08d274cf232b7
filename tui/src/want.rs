//! What can be known of a server: each thing to know is one `GET`.
//!
//! Screens say what they want to know; [`crate::store`] has what was answered and knows what has
//! to be asked again. Nothing here talks to a server.

use std::time::Duration;

use serde_json::Value;

use crate::live::Touched;

/// How many rows a page of a long list has.
pub(crate) const PAGE: usize = 100;

/// Something to know.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Want {
    /// Who the server takes us for.
    Me,
    Plugins,
    Agents,
    Tools,
    Workflows,
    Workflow(String),
    /// How many runs go on and wait, by workflow.
    RunCounts,
    /// Counters and durations, as Prometheus' text.
    Metrics,
    /// Runs of all workflows, the newest first.
    Runs {
        query: Query,
        page: usize,
    },
    Run {
        workflow: String,
        run: String,
    },
    /// Traces, the newest first.
    Traces {
        query: Query,
        page: usize,
    },
    Trace(String),
    Threads {
        query: Query,
        page: usize,
    },
    /// The messages of a thread, in order.
    Messages {
        thread: String,
        page: usize,
    },
    /// Log records, the newest first.
    Logs {
        query: Query,
        page: usize,
    },
    VectorStores,
    Indexes(String),
    Index {
        store: String,
        index: String,
    },
    Embedders,
    McpServers,
    McpTools(String),
    McpSources,
    Schedules,
}

/// What narrows a list: names and values of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Adds a range of time, in Unix milliseconds, as an object with `start` and `end`.
    pub(crate) fn within(self, name: &'static str, from: Option<i64>, to: Option<i64>) -> Self {
        let ends = [("start", from), ("end", to)].into_iter();
        let ends = ends.filter_map(|(end, time)| Some((end.to_owned(), Value::String(moment(time?)))));
        let range: serde_json::Map<String, Value> = ends.collect();
        if range.is_empty() { self } else { self.with(name, Value::Object(range).to_string()) }
    }

    /// Adds a parameter, unless there is nothing to say.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((name, value));
        }
        self
    }
}

/// Returns a moment as queries have it.
pub(crate) fn moment(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds).map(|time| time.to_string()).unwrap_or_default()
}

/// The address of an endpoint below the API's prefix, or from the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Its segments, not yet encoded.
    pub(crate) segments: Vec<String>,
    /// Parameters of its query.
    pub(crate) query: Vec<(&'static str, String)>,
    /// Whether it has the API's prefix before it.
    pub(crate) is_below_prefix: bool,
}

impl Address {
    pub(crate) fn new(segments: &[&str]) -> Self {
        let segments = segments.iter().map(|segment| (*segment).to_owned()).collect();
        Self { segments, query: Vec::new(), is_below_prefix: true }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    fn page(mut self, query: &Query, page: usize, per_page: usize) -> Self {
        self.query.extend(query.0.iter().cloned());
        self.with("page", page.to_string()).with("perPage", per_page.to_string())
    }
}

impl Want {
    /// Returns where it is answered.
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Me => Address::new(&["auth", "me"]),
            Self::Plugins => Address::new(&["plugins"]),
            Self::Agents => Address::new(&["agents"]),
            Self::Tools => Address::new(&["tools"]),
            Self::Workflows => Address::new(&["workflows"]),
            Self::Workflow(id) => Address::new(&["workflows", id]),
            Self::RunCounts => Address::new(&["workflows", "run-counts"]),
            Self::Metrics => Address { is_below_prefix: false, ..Address::new(&["metrics"]) },
            Self::Runs { query, page } => Address::new(&["runs"]).page(query, *page, PAGE),
            Self::Run { workflow, run } => Address::new(&["workflows", workflow, "runs", run]),
            Self::Traces { query, page } => {
                Address::new(&["observability", "traces", "light"]).page(query, *page, PAGE)
            }
            Self::Trace(id) => Address::new(&["observability", "traces", id]),
            Self::Threads { query, page } => Address::new(&["memory", "threads"]).page(query, *page, PAGE),
            Self::Messages { thread, page } => {
                Address::new(&["memory", "threads", thread, "messages"]).page(&Query::default(), *page, PAGE)
            }
            Self::Logs { query, page } => Address::new(&["observability", "logs"]).page(query, *page, PAGE),
            Self::VectorStores => Address::new(&["vectors"]),
            Self::Indexes(store) => Address::new(&["vector", store, "indexes"]),
            Self::Index { store, index } => Address::new(&["vector", store, "indexes", index]),
            Self::Embedders => Address::new(&["embedders"]),
            Self::McpServers => Address::new(&["mcp", "servers"]),
            Self::McpTools(server) => Address::new(&["mcp", server, "tools"]),
            Self::McpSources => Address::new(&["mcp", "sources"]),
            Self::Schedules => Address::new(&["schedules"]),
        }
    }

    /// Returns after how long it is asked again while somebody looks, if no event says when.
    pub(crate) fn period(&self) -> Option<Duration> {
        match self {
            Self::Plugins => Some(Duration::from_secs(2)),
            Self::Metrics => Some(Duration::from_secs(5)),
            Self::RunCounts | Self::McpSources | Self::Schedules => Some(Duration::from_secs(10)),
            Self::Indexes(_) | Self::Index { .. } => Some(Duration::from_secs(15)),
            _ => None,
        }
    }

    /// Returns whether what happened may have changed the answer.
    pub(crate) fn is_touched(&self, touched: &Touched) -> bool {
        match self {
            Self::Plugins => touched.plugins,
            // What plugins offer.
            Self::Agents
            | Self::Tools
            | Self::Workflows
            | Self::Workflow(_)
            | Self::VectorStores
            | Self::Embedders
            | Self::McpServers
            | Self::McpTools(_) => touched.offers,
            Self::RunCounts => touched.runs,
            Self::Runs { page, .. } => touched.runs && *page == 0 || touched.run_states,
            Self::Run { run, .. } => touched.run_ids.contains(run),
            Self::Traces { .. } => touched.traces,
            Self::Trace(id) => touched.trace_ids.contains(id),
            Self::Threads { .. } => touched.messages,
            Self::Messages { thread, .. } => touched.thread_ids.contains(thread),
            Self::Me
            | Self::Metrics
            | Self::Logs { .. }
            | Self::Indexes(_)
            | Self::Index { .. }
            | Self::McpSources
            | Self::Schedules => false,
        }
    }
}
