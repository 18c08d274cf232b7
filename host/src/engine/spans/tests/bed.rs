//! An engine that records, over a plugin that is this file.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use hotbay_plugin::{Error, error::code, manifest::CallMeta};
use serde_json::{Map, Value, json};

use crate::{
    config::RecordSettings,
    engine::{
        Engine, Holder,
        event::Unobserved,
        options::{RunOptions, RunRequest},
        turn::Turn,
        workflow::{WorkflowSettings, Workflows},
    },
    memory::semantic::RecallSettings,
    model::catalog::Models,
    observe::{Observe, tree},
    plugin::{
        call::{Call, CallError, Instance, Reply, ReplyKind, Target},
        generation::{Generation, Identity},
        in_flight::InFlightGuard,
        registry::{Offer, Offers, Registry},
        services::{HostServices, Requester},
    },
    services::Services,
    store::{Store, StoreSettings},
    tasks::Tasks,
    types::{
        message::{Message, Role},
        span::Span,
    },
};

/// How long a trace may take to be seen.
const LIMIT: Duration = Duration::from_secs(5);

/// What the tool `weather` logs.
pub(super) const SAID: &str = "looking at the sky";

pub(super) struct Bed {
    pub(super) engine: Engine,
    pub(super) workflows: Workflows,
    pub(super) store: Store,
    pub(super) observe: Observe,
    _directory: tempfile::TempDir,
}

/// What is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Records {
    All,
    NoContent,
    Nothing,
}

impl Bed {
    pub(super) async fn start() -> Self {
        Self::recording(Records::All).await
    }

    pub(super) async fn recording(records: Records) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tasks = Tasks::default();
        let settings = StoreSettings { data: directory.path().to_owned(), url: None, fault: None };
        let (store, writer) = Store::open(&settings).await.unwrap();
        tasks.spawn("store", |cancel| writer.unwrap().run(cancel));
        let filter = if records == Records::Nothing { "off" } else { "info" }.to_owned();
        let content = records == Records::All;
        let settings = RecordSettings { filter, content, days: 1, bytes: u64::MAX };
        let observe = Observe::start(&settings, &directory.path().join("observe"), &tasks);
        let models = Arc::new(Models::new(BTreeMap::new(), |_| None));
        let services = Arc::new(Services::with(Arc::clone(&models), directory.path(), BTreeMap::new()));
        let registry = Arc::new(Registry::default());
        let generation = Generation::with_instance(identity(), Arc::new(Fake { services: Arc::clone(&services) }));
        Offers::default().put(&registry, &"fake".into(), Offer::new(&generation).unwrap()).unwrap();
        let holder = Holder { owner: "host".to_owned(), lease: Duration::from_secs(60) };
        let recorder = observe.recorder().clone();
        let recall = RecallSettings::default();
        let engine = Engine::new(Arc::clone(&registry), models, store.clone(), recall, tasks.clone(), holder, recorder);
        let asked = Arc::new(OnceLock::new());
        assert!(asked.set(engine.clone()).is_ok());
        services.connect(
            registry,
            Arc::new(move |id, request, origin| {
                let engine = asked.get().unwrap().clone();
                Box::pin(async move {
                    let messages = serde_json::from_value(request["messages"].clone())?;
                    let answer = engine.ask(id, messages, Map::new(), origin.as_ref()).await;
                    Ok(serde_json::to_value(answer.map_err(|error| Error::new(error.to_string()))?)?)
                })
            }),
            Arc::new(|_, _| Box::pin(async { Ok(Value::Null) })),
        );
        let settings = WorkflowSettings {
            owner: "host".to_owned(),
            lease: Duration::from_secs(60),
            cancel_grace: LIMIT,
            concurrency: HashMap::new(),
        };
        let workflows = Workflows::new(engine.clone(), &store, tasks, settings);
        engine.connect(workflows.clone());
        Self { engine, workflows, store, observe, _directory: directory }
    }

    /// Asks an agent and returns what its run came to.
    pub(super) async fn ask(&self, agent: &str, text: &str, options: RunOptions) -> Turn {
        let input = vec![Message::of_text(Role::User, text)];
        let request = RunRequest { agent_id: agent.to_owned(), input, options, ..RunRequest::default() };
        let mut run = self.engine.prepare(request).await.unwrap();
        drop(run.drive(&mut Unobserved).await);
        run.turn.clone()
    }

    /// Returns the spans of a trace once they stand as they should.
    #[track_caller]
    pub(super) fn trace<'a>(
        &'a self,
        trace_id: &'a str,
        expected: &'a [&'a str],
    ) -> impl Future<Output = Vec<Arc<Span>>> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(1));
            let mut lines = Vec::new();
            let seen = tokio::time::timeout(LIMIT, async {
                loop {
                    ticks.tick().await;
                    let spans = self.observe.trace(trace_id).await.unwrap();
                    lines = tree::lines(&spans);
                    if lines == expected {
                        return spans;
                    }
                }
            });
            match seen.await {
                Ok(spans) => spans,
                Err(_) => panic!("at {caller} the trace is\n{}\nnot\n{}", lines.join("\n"), expected.join("\n")),
            }
        }
    }

    /// Returns all spans there are at this moment.
    pub(super) async fn all(&self) -> Vec<Arc<Span>> {
        let filter = crate::observe::filter::Filter::All;
        let window = crate::observe::Window { limit: u64::MAX, ..Default::default() };
        self.observe.spans(filter, window).await.unwrap().records
    }
}

fn identity() -> Identity {
    let tool = |id: &str| json!({"id": id, "description": format!("What {id} does")});
    let key = |id: &str| json!({"key": id, "id": id});
    let agent = |id: &str, more: Value| {
        let mut agent = json!({"id": id, "name": format!("The {id}"), "model": "mock/script"});
        agent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        agent
    };
    let tools = ["weather", "failing", "pausing", "asking"];
    let step = |id: &str| json!({"type": "step", "id": id});
    let inner = json!({"type": "workflow", "id": "inner", "workflow": "inner"});
    let workflow = |id: &str, nodes: Value| json!({"id": id, "graph": {"nodes": nodes}});
    let manifest = json!({
        "name": "fake", "version": "1.0.0",
        "tools": tools.map(tool),
        "agents": [
            agent("plain", json!({"instructions": "Be plain."})),
            agent("worker", json!({"instructions": "Use tools.", "tools": tools.map(key)})),
            agent("keeper", json!({"instructions": "Remember.", "memory": {"lastMessages": 5}})),
            agent("boss", json!({"agents": ["plain"], "workflows": ["line"]})),
            agent("broken", json!({"model": "mock/none"})),
        ],
        "workflows": [
            workflow("line", json!([step("one"), step("two")])),
            workflow("inner", json!([step("deep")])),
            workflow("nested", json!([step("one"), inner])),
            workflow("side", json!([{"type": "parallel", "id": "p", "nodes": [step("one"), step("two")]}])),
            workflow("bad", json!([step("one"), step("boom")])),
            workflow("waits", json!([step("one"), step("ask"), step("two")])),
            workflow("uses", json!([{"type": "tool", "id": "t", "tool": "weather"},
                {"type": "map", "id": "m"}, {"type": "agent", "id": "a", "agent": "plain"}])),
        ],
    });
    Identity {
        plugin: "fake".into(),
        number: 1,
        hash: "".into(),
        file: "fake.so".into(),
        size: 0,
        manifest: Arc::new(serde_json::from_value(manifest).unwrap()),
    }
}

struct Fake {
    services: Arc<Services>,
}

impl Instance for Fake {
    fn call(&self, target: Target, call: Call, guard: InFlightGuard) -> BoxFuture<'static, Result<Reply, CallError>> {
        let services = Arc::clone(&self.services);
        Box::pin(async move {
            let _guard = guard;
            match target {
                Target::Tool(id) => tool(&services, &id, call).await,
                Target::Workflow { node, .. } => step(&node, &call),
                other => panic!("nobody calls {other:?}"),
            }
        })
    }

    fn shutdown(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

async fn tool(services: &Services, id: &str, call: Call) -> Result<Reply, CallError> {
    let meta: CallMeta = serde_json::from_slice(&call.meta).unwrap_or_default();
    match id {
        "weather" => {
            let (name, part) = ("fake", "fake");
            tracing::event!(target: "plugin", tracing::Level::INFO, plugin.name = name, plugin.target = part, "{SAID}");
            Ok(reply(ReplyKind::Value, &json!({"sky": "blue"})))
        }
        "failing" => Err(failed("it rains")),
        "pausing" => Ok(match meta.resume_data {
            Some(answer) => reply(ReplyKind::Value, &json!({"heard": answer})),
            None => reply(ReplyKind::Suspended, &json!({"question": "which?"})),
        }),
        "asking" => {
            let asks = [
                ("tool.call", json!({"id": "weather", "input": {"at": "sea"}})),
                ("model.chat", json!({"model": "mock/echo", "messages": [{"role": "system", "content": "hush"}]})),
                (
                    "agent.generate",
                    json!({"id": "plain", "messages": [{"role": "user", "content": [
                    {"type": "text", "text": "hello"}]}]}),
                ),
            ];
            for (op, body) in asks {
                let caller = Requester { plugin: "fake".into(), generation: 1, call: 1, context: call.context.clone() };
                services.request(caller, op, body.to_string().into_bytes(), None).await.unwrap();
            }
            Ok(reply(ReplyKind::Value, &json!("asked")))
        }
        other => panic!("there is no tool {other}"),
    }
}

fn step(node: &str, call: &Call) -> Result<Reply, CallError> {
    let meta: CallMeta = serde_json::from_slice(&call.meta).unwrap_or_default();
    Ok(match node {
        "boom" => return Err(failed("step exploded")),
        "ask" => match meta.resume_data {
            Some(answer) => reply(ReplyKind::Value, &answer),
            None => reply(ReplyKind::Suspended, &json!({"question": "which?"})),
        },
        "m" => reply(ReplyKind::Value, &json!({"prompt": "hello"})),
        node => reply(ReplyKind::Value, &json!(format!("by {node}"))),
    })
}

fn reply(kind: ReplyKind, body: &Value) -> Reply {
    Reply { kind, body: body.to_string().into_bytes(), meta: Vec::new(), vectors: Vec::new() }
}

fn failed(message: &str) -> CallError {
    CallError::Failed {
        plugin: "fake".into(),
        code: code::FAILED,
        message: message.to_owned(),
        retryable: false,
        detail: Value::Null,
    }
}
