//! The HTTP API: requests in, one call into the layers below, JSON or events out.
//!
//! `endpoints` is the whole API on one screen; routes and the description at
//! `/openapi.json` are both made from it. Knows the wire, and nothing below knows it.

pub mod error;
pub mod extract;

mod access;
mod agents;
mod audit;
pub(crate) mod auth;
mod client;
mod cors;
mod endpoint;
mod events;
pub(crate) mod kept;
mod lapse;
mod limited;
mod logs;
mod mcp;
mod memory;
mod metrics;
mod middleware;
mod observability;
mod openapi;
mod otlp;
mod plugins;
mod rendered;
mod runs;
mod schedules;
mod sse;
mod system;
mod tools;
mod vectors;
mod workflows;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};

use crate::{
    app::AppState,
    types::caller::Role::{Admin, Operator, Viewer},
};
use endpoint::{AnyHandler, Common, Endpoint, delete, get, patch, post, routes, tagged};
use metrics::Requests;
use middleware::{Front, Wrapped};
use observability::{
    discovery, erase, query, trace, traces,
    verdicts::{feedback, scores},
};
use openapi::Description;

/// What is served outside the API's prefix: probes of load balancers, and where OpenTelemetry sends to.
fn outside() -> Vec<Endpoint> {
    tagged(
        "system",
        [
            get("/health", system::health)
                .open()
                .says("Tells that the server is up")
                .always()
                .answers::<system::Health>(),
            get("/ready", system::ready)
                .open()
                .says("Tells whether the server can do its work")
                .always()
                .answers::<system::Readiness>(),
            get(metrics::PATH, metrics::show).says("Returns what is counted, as Prometheus reads it").always().text(),
            post("/v1/traces", otlp::traces).says("Takes spans of other services, as OTLP"),
            post("/v1/logs", otlp::logs).says("Takes log records of other services, as OTLP"),
        ],
    )
}

/// What is served under the API's prefix.
#[rustfmt::skip]
fn endpoints() -> Vec<Endpoint> {
    [
        tagged("agents", [
            get("/agents", agents::list).common().says("Lists the agents"),
            get("/agents/providers", system::providers).common().says("Lists the providers of models"),
            get("/agents/:agentId", agents::get).common().says("Returns an agent"),
            post("/agents/:agentId/generate", agents::generate).own().says("Asks an agent and waits for the answer").runs(),
            post("/agents/:agentId/stream", agents::stream).own().says("Asks an agent and streams the answer").runs().streams(),
            post("/agents/:agentId/approve-tool-call", agents::approve).own().says("Lets a tool call run, streams the rest").runs().streams(),
            post("/agents/:agentId/approve-tool-call-generate", agents::approve_generate).own().says("Lets a tool call run, waits for the rest").runs(),
            post("/agents/:agentId/decline-tool-call", agents::decline).own().says("Refuses a tool call, streams the rest").runs().streams(),
            post("/agents/:agentId/decline-tool-call-generate", agents::decline_generate).own().says("Refuses a tool call, waits for the rest").runs(),
            post("/agents/:agentId/resume-stream", agents::resume).own().says("Resumes a suspended tool call, streams the rest").runs().streams(),
            post("/agents/:agentId/generate-legacy", agents::legacy).common().says("Refuses clients of an older kind"),
            get("/agents/:agentId/tools", agents::own_tools).common().says("Lists an agent's tools"),
            get("/agents/:agentId/tools/:toolId", agents::tool).common().says("Returns one of an agent's tools"),
            post("/agents/:agentId/tools/:toolId/execute", agents::execute_tool).common().says("Runs one of an agent's tools").runs(),
        ]),
        tagged("tools", [
            get("/tools", tools::list).common().says("Lists the tools"),
            get("/tools/:toolId", tools::get).common().says("Returns a tool"),
            post("/tools/:toolId/execute", tools::execute).common().says("Runs a tool").runs(),
        ]),
        tagged("workflows", [
            get("/workflows", workflows::list).common().says("Lists the workflows"),
            get("/workflows/run-counts", workflows::runs::counts).says("Counts the runs that go on and that wait"),
            get("/runs", runs::list).own().says("Lists the runs of all workflows").answers::<runs::ListResponse>(),
            get("/workflows/:workflowId", workflows::get).common().says("Returns a workflow"),
            post("/workflows/:workflowId/create-run", workflows::runs::create).own().says("Makes a run"),
            post("/workflows/:workflowId/start", workflows::drive::start).own().says("Begins a run that was made").runs(),
            post("/workflows/:workflowId/start-async", workflows::drive::start_async).own().says("Begins a run and waits for its end").runs(),
            post("/workflows/:workflowId/stream", workflows::drive::stream).own().says("Begins a run and streams it").runs().chunks(),
            post("/workflows/:workflowId/stream-legacy", workflows::drive::stream_legacy).own().says("Begins a run and streams it in an older shape").runs().chunks(),
            post("/workflows/:workflowId/observe", workflows::drive::observe).own().says("Streams a run that was begun before").chunks(),
            post("/workflows/:workflowId/resume", workflows::drive::resume).own().says("Answers a run that waits").runs(),
            post("/workflows/:workflowId/resume-async", workflows::drive::resume_async).own().says("Answers a run that waits, waits for its end").runs(),
            post("/workflows/:workflowId/resume-stream", workflows::drive::resume_stream).own().says("Answers a run that waits, streams the rest").runs().chunks(),
            post("/workflows/:workflowId/resume-no-wait", workflows::drive::resume_no_wait).own().says("Answers a run that waits").runs(),
            post("/workflows/:workflowId/restart", workflows::drive::restart).own().says("Lets a run that was left go on").runs(),
            post("/workflows/:workflowId/restart-async", workflows::drive::restart_async).own().says("Lets a run that was left go on, waits for its end").runs(),
            post("/workflows/:workflowId/time-travel", workflows::drive::travel).own().says("Runs a run again from a step on").runs(),
            post("/workflows/:workflowId/time-travel-async", workflows::drive::travel_async).own().says("Runs a run again from a step on, waits for its end").runs(),
            post("/workflows/:workflowId/time-travel-stream", workflows::drive::travel_stream).own().says("Runs a run again from a step on, streams it").runs().chunks(),
            get("/workflows/:workflowId/runs", workflows::runs::list).own().says("Lists a workflow's runs"),
            get("/workflows/:workflowId/runs/:runId", workflows::runs::get).own().says("Returns a run"),
            delete("/workflows/:workflowId/runs/:runId", workflows::runs::delete).own().says("Removes a run"),
            post("/workflows/:workflowId/runs/:runId/cancel", workflows::runs::cancel).own().says("Ends a run").always(),
        ]),
        tagged("schedules", [
            get("/schedules", schedules::list).says("Lists the schedules").answers::<schedules::ListResponse>(),
            get("/schedules/:scheduleId", schedules::get).says("Returns a schedule"),
            post("/schedules/:scheduleId/pause", schedules::pause).says("Stops a schedule from starting runs"),
            post("/schedules/:scheduleId/resume", schedules::resume).says("Lets a schedule start runs again"),
            post("/schedules/:scheduleId/run", schedules::run).says("Starts a schedule's workflow now").runs(),
        ]),
        tagged("memory", [
            get("/memory/status", memory::status).common().says("Tells whether an agent has a memory"),
            get("/memory/config", memory::config).common().says("Returns how an agent remembers"),
            get("/memory/threads", memory::list).own().says("Lists threads"),
            post("/memory/threads", memory::create).own().says("Makes a thread"),
            get("/memory/threads/:threadId", memory::get).own().says("Returns a thread"),
            patch("/memory/threads/:threadId", memory::update).own().says("Changes a thread"),
            delete("/memory/threads/:threadId", memory::remove).own().says("Deletes a thread and its messages"),
            post("/memory/threads/:threadId/clone", memory::clone).own().says("Copies a thread"),
            post("/memory/threads/:threadId/transfer", memory::transfer).says("Gives a thread to somebody else"),
            get("/memory/threads/:threadId/messages", memory::list_messages).own().says("Lists a thread's messages"),
            post("/memory/threads/:threadId/messages", memory::add).own().says("Adds messages to a thread"),
            get("/memory/threads/:threadId/working-memory", memory::get_working).own().says("Returns working memory"),
            post("/memory/threads/:threadId/working-memory", memory::update_working).own().says("Replaces working memory"),
            post("/memory/save-messages", memory::save).own().says("Saves messages"),
            post("/memory/messages/delete", memory::remove_messages).own().says("Deletes messages"),
            get("/memory/search", memory::search).own().says("Finds messages by their meaning or their words"),
            get("/memory/embeddings", memory::embeddings).says("Tells how many messages are found by their meaning").answers::<memory::SpacesResponse>(),
            post("/memory/embeddings/renew", memory::renew_embeddings).needs(Admin).says("Embeds every message again").answers::<memory::RenewResponse>(),
        ]),
        tagged("vectors", [
            get("/vectors", vectors::list).says("Lists the vector stores").answers::<vectors::ListResponse>(),
            get("/embedders", vectors::embedders).common().says("Lists the models that turn text into vectors").answers::<vectors::EmbeddersResponse>(),
            get("/vector/:vectorName/indexes", vectors::indexes).says("Lists a store's indexes").answers::<Vec<String>>(),
            get("/vector/:vectorName/indexes/:indexName", vectors::describe_index).says("Describes an index").answers::<vectors::DescribeResponse>(),
            delete("/vector/:vectorName/indexes/:indexName", vectors::delete_index).says("Deletes an index and what is in it").answers::<vectors::Done>(),
            post("/vector/:vectorName/create-index", vectors::create_index).says("Creates an index").answers::<vectors::Done>(),
            post("/vector/:vectorName/upsert", vectors::upsert).says("Adds vectors, replaces those with the same ids").answers::<vectors::UpsertResponse>(),
            post("/vector/:vectorName/query", vectors::query).needs(Viewer).says("Finds the vectors nearest to one").answers::<Vec<vectors::HitResponse>>(),
            post("/vector/:vectorName/update", vectors::update).says("Changes vectors or what is known about them").answers::<vectors::Done>(),
            post("/vector/:vectorName/delete", vectors::delete).says("Deletes vectors").answers::<vectors::Done>(),
            get("/vectors/:vectorName/indexes", vectors::indexes).says("Lists a store's indexes").answers::<Vec<String>>(),
            get("/vectors/:vectorName/indexes/:indexName", vectors::describe_index).says("Describes an index").answers::<vectors::DescribeResponse>(),
            delete("/vectors/:vectorName/indexes/:indexName", vectors::delete_index).says("Deletes an index and what is in it").answers::<vectors::Done>(),
            post("/vectors/:vectorName/create-index", vectors::create_index).says("Creates an index").answers::<vectors::Done>(),
            post("/vectors/:vectorName/upsert", vectors::upsert).says("Adds vectors, replaces those with the same ids").answers::<vectors::UpsertResponse>(),
            post("/vectors/:vectorName/query", vectors::query).needs(Viewer).says("Finds the vectors nearest to one").answers::<Vec<vectors::HitResponse>>(),
            post("/vectors/:vectorName/update", vectors::update).says("Changes vectors or what is known about them").answers::<vectors::Done>(),
            post("/vectors/:vectorName/delete", vectors::delete).says("Deletes vectors").answers::<vectors::Done>(),
        ]),
        tagged("mcp", [
            get("/mcp/servers", mcp::list).common().says("Lists the MCP servers").answers::<mcp::ListResponse>(),
            get("/mcp/sources", mcp::sources).says("Lists the third-party MCP servers whose tools agents use"),
            get("/mcp/v0/servers", mcp::list).common().says("Lists the MCP servers").answers::<mcp::ListResponse>(),
            get("/mcp/v0/servers/:serverId", mcp::server).common().says("Returns an MCP server"),
            get("/mcp/servers/:serverId/tools", mcp::tools).common().says("Lists an MCP server's tools"),
            get("/mcp/:serverId/tools", mcp::tools).common().says("Lists an MCP server's tools"),
            get("/mcp/:serverId/tools/:toolId", mcp::tool).common().says("Returns an MCP server's tool"),
            post("/mcp/:serverId/tools/:toolId/execute", mcp::execute).says("Runs an MCP server's tool").runs(),
            get("/mcp/:serverId/resources", mcp::resources).common().says("Lists an MCP server's resources"),
            get("/mcp/:serverId", mcp::speak).needs(Operator).says("Streams what an MCP server tells a session").streams(),
            post("/mcp/:serverId", mcp::speak).needs(Operator).says("Speaks MCP, as Streamable HTTP").runs(),
            delete("/mcp/:serverId", mcp::speak).needs(Operator).says("Ends an MCP session"),
            get("/mcp/:serverId/mcp", mcp::speak).needs(Operator).says("Streams what an MCP server tells a session").streams(),
            post("/mcp/:serverId/mcp", mcp::speak).needs(Operator).says("Speaks MCP, as Streamable HTTP").runs(),
            delete("/mcp/:serverId/mcp", mcp::speak).needs(Operator).says("Ends an MCP session"),
            get("/mcp/:serverId/sse", mcp::open).needs(Operator).says("Begins an MCP session of the older transport").streams(),
            post("/mcp/:serverId/messages", mcp::messages).says("Takes a message of such a session").runs().text(),
        ]),
        tagged("logs", [
            get("/logs", logs::list).says("Lists log records as the logger wrote them").answers::<logs::ListResponse>(),
            get("/logs/transports", logs::transports).says("Lists where log records come from").answers::<logs::Transports>(),
            get("/logs/:runId", logs::by_run).says("Lists a run's log records").answers::<logs::ListResponse>(),
        ]),
        tagged("telemetry", [
            get("/telemetry/traces", traces::documented).says("Lists traces"),
            get("/telemetry/traces/:traceId", trace::get).says("Returns a trace"),
            get("/telemetry/traces/:traceId/spans", trace::get).says("Lists a trace's spans"),
        ]),
        tagged("observability", [
            get("/observability/traces", traces::list).says("Lists traces by their first spans"),
            get("/observability/traces/light", traces::light).says("Lists traces without what goes in and comes out"),
            get("/observability/branches", traces::branches).says("Lists runs and calls, wherever in a trace they are"),
            post("/observability/traces/delete", erase::delete).needs(Admin).says("Deletes traces"),
            post("/observability/traces/query", query::query).needs(Viewer).says("Finds traces by a predicate"),
            post("/observability/traces/query/fields", query::discovery::fields).needs(Viewer).says("Lists what predicates may ask about"),
            post("/observability/traces/query/values", query::discovery::values).needs(Viewer).says("Lists the values of what predicates ask about"),
            get("/observability/traces/:traceId", trace::get).says("Returns a trace"),
            get("/observability/traces/:traceId/light", trace::light).says("Returns a trace without what goes in and comes out"),
            get("/observability/traces/:traceId/trajectory", trace::trajectory).says("Returns the steps a trace took"),
            get("/observability/traces/:traceId/spans/:spanId", trace::one).says("Returns a span"),
            get("/observability/traces/:traceId/branches/:spanId", trace::branch).says("Returns a span and what is below it"),
            get("/observability/traces/:traceId/:spanId/scores", scores::of_span).says("Lists a span's scores"),
            get("/observability/logs", observability::logs::list).says("Lists log records"),
            get("/observability/scores", scores::list).says("Lists scores"),
            post("/observability/scores", scores::create).says("Keeps a score"),
            delete("/observability/scores", scores::delete).needs(Admin).says("Deletes scores"),
            get("/observability/scores/:scoreId", scores::get).says("Returns a score"),
            post("/observability/scores/aggregate", scores::aggregate).needs(Viewer).says("Returns what scores come to"),
            post("/observability/scores/breakdown", scores::breakdown).needs(Viewer).says("Returns what scores come to, by group"),
            post("/observability/scores/timeseries", scores::timeseries).needs(Viewer).says("Returns what scores come to, over time"),
            post("/observability/scores/percentiles", scores::percentiles).needs(Viewer).says("Returns percentiles of scores, over time"),
            post("/observability/traces/score", scores::score_traces).says("Has a scorer score traces"),
            get("/observability/feedback", feedback::list).says("Lists feedback"),
            post("/observability/feedback", feedback::create).says("Keeps feedback"),
            delete("/observability/feedback", feedback::delete).needs(Admin).says("Deletes feedback"),
            patch("/observability/feedback/:feedbackId/review-status", feedback::review).says("Says whether somebody looked at feedback"),
            post("/observability/feedback/aggregate", feedback::aggregate).needs(Viewer).says("Returns what feedback comes to"),
            post("/observability/feedback/breakdown", feedback::breakdown).needs(Viewer).says("Returns what feedback comes to, by group"),
            post("/observability/feedback/timeseries", feedback::timeseries).needs(Viewer).says("Returns what feedback comes to, over time"),
            post("/observability/feedback/percentiles", feedback::percentiles).needs(Viewer).says("Returns percentiles of feedback, over time"),
            get("/observability/metrics", observability::metrics::list).says("Lists the values of metrics"),
            post("/observability/metrics/aggregate", observability::metrics::aggregate).needs(Viewer).says("Returns what metrics come to"),
            post("/observability/metrics/breakdown", observability::metrics::breakdown).needs(Viewer).says("Returns what metrics come to, by group"),
            post("/observability/metrics/timeseries", observability::metrics::timeseries).needs(Viewer).says("Returns what metrics come to, over time"),
            post("/observability/metrics/percentiles", observability::metrics::percentiles).needs(Viewer).says("Returns percentiles of a metric, over time"),
            get("/observability/discovery/metric-names", observability::metrics::list_names).says("Lists the metrics"),
            get("/observability/discovery/metric-label-keys", observability::metrics::label_keys).says("Lists a metric's labels"),
            get("/observability/discovery/metric-label-values", observability::metrics::label_values).says("Lists the values of a metric's label"),
            get("/observability/discovery/entity-types", discovery::entity_types).says("Lists what entities there are"),
            get("/observability/discovery/entity-names", discovery::entity_names).says("Lists the names of entities"),
            get("/observability/discovery/service-names", discovery::service_names).says("Lists the services"),
            get("/observability/discovery/environments", discovery::environments).says("Lists the environments"),
            get("/observability/discovery/tags", discovery::tags).says("Lists the tags of traces"),
        ]),
        tagged("plugins", [
            get("/plugins", plugins::list).says("Lists the plugins and the files that are none").always(),
            get("/plugins/:name", plugins::get).says("Returns everything about a plugin").always(),
            post("/plugins/:name/reload", plugins::reload).needs(Admin).says("Loads a plugin's file again").always(),
            post("/plugins/:name/rollback", plugins::rollback).needs(Admin).says("Goes back to the build that served before").always(),
            post("/plugins/:name/disable", plugins::disable).needs(Admin).says("Retires a plugin until it is enabled").always(),
            post("/plugins/:name/enable", plugins::enable).needs(Admin).says("Loads a disabled plugin again").always(),
            get("/plugins/:name/canary", plugins::canary).says("Returns the build that is tried, or was last").always(),
            post("/plugins/:name/canary", plugins::try_out).needs(Admin).says("Tries a build on a share of the calls").always(),
            post("/plugins/:name/promote", plugins::promote).needs(Admin).says("Lets the build that is tried serve alone").always(),
            post("/plugins/:name/abort", plugins::abort).needs(Admin).says("Gives the build that is tried up").always(),
        ]),
        tagged("events", [
            get("/events", events::watch).says("Streams what happens").streams(),
        ]),
        tagged("auth", [
            get("/auth/capabilities", auth::capabilities).open().says("Tells whether callers must say who they are").always().answers::<auth::CapabilitiesResponse>(),
            get("/auth/me", auth::me).open().says("Returns who the caller is").always(),
            get("/auth/tokens", auth::list).needs(Admin).says("Lists the tokens").always().answers::<auth::TokensResponse>(),
            post("/auth/tokens", auth::create).needs(Admin).says("Makes a token, and tells it this once").always().answers::<auth::NewTokenResponse>(),
            delete("/auth/tokens/:name", auth::revoke).needs(Admin).says("Revokes a token, by its name or id").always().answers::<auth::RevokedResponse>(),
        ]),
        tagged("system", [
            get("/system/packages", system::packages).common().says("Returns what the server is made of"),
            get("/scores/scorers", system::none_by_name).common().says("Lists the scorers"),
            get("/processors", system::none_by_name).common().says("Lists the processors"),
            get(openapi::PATH, openapi::document).common().says("Returns the description of the API"),
        ]),
    ]
    .concat()
}

/// Returns everything the server answers.
pub fn router(app: AppState) -> Router {
    serve(app, outside(), endpoints())
}

fn serve(app: AppState, outside: Vec<Endpoint>, inside: Vec<Endpoint>) -> Router {
    let (outside, inside): (Arc<[_]>, Arc<[_]>) = (outside.into(), inside.into());
    let prefix = app.config.prefix.trim_end_matches('/').to_owned();
    let common = Common {
        body_limit: app.config.body_limit,
        description: Arc::new(Description::new(&prefix, &outside, &inside, app.auth.is_required())),
        requests: Arc::new(Requests::new(&prefix, &outside, &inside)),
        front: Arc::new(Front::new(&app)),
    };
    let router = routes(&prefix, &inside, &common).merge(routes("", &outside, &common));
    let nowhere = Wrapped::new(&common.front, common.requests.nowhere(), AnyHandler::new(not_found));
    router.fallback(nowhere.clone()).method_not_allowed_fallback(nowhere).with_state(app)
}

/// Answers what is not there: a path, a method of it, or a path with a slash too many.
async fn not_found() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=UTF-8")];
    (StatusCode::NOT_FOUND, headers, "404 Not Found").into_response()
}
