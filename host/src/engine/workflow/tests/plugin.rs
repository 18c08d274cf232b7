//! A plugin that does what a [`Plan`] says, and stops answering when it is told to.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, pending};
use hotbay_plugin::{error::code, manifest::CallMeta};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    model::is_odd,
    plan::{Does, Kind, Node, Plan, again, mixed, spread, taken},
};
use crate::{
    plugin::{
        call::{Call, CallError, Instance, Reply, ReplyKind, Target},
        in_flight::InFlightGuard,
    },
    store::Store,
};

/// The code behind one id.
enum Code {
    Step(Does),
    Spread(Option<u32>),
    /// Of a branch.
    Holds(Option<bool>),
    /// Of a loop that is to be repeated so often.
    Times {
        until: bool,
        times: u32,
    },
}

/// The plugin.
pub(super) struct Plugin {
    code: HashMap<String, Code>,
    store: Store,
    /// From how many commits on nothing is answered.
    limit: AtomicU64,
    /// Told when something is not answered.
    pub(super) silent: Notify,
    calls: Mutex<BTreeMap<String, u32>>,
    /// What must not be called: its result is stored.
    done: Mutex<HashSet<String>>,
    /// What was called though it must not be.
    pub(super) repeated: Mutex<Vec<String>>,
}

impl Plugin {
    pub(super) fn new(plan: &Plan, store: Store) -> Self {
        let mut code = HashMap::new();
        plan.visit(&mut |node| learn(node, &mut code));
        Self {
            code,
            store,
            limit: AtomicU64::new(u64::MAX),
            silent: Notify::new(),
            calls: Mutex::default(),
            done: Mutex::default(),
            repeated: Mutex::default(),
        }
    }

    /// Answers until so many more commits were made.
    pub(super) fn fall_silent_after(&self, commits: u64) {
        self.limit.store(self.store.statistics().commits + commits, Ordering::SeqCst);
    }

    /// Takes calls for these paths as a fault.
    pub(super) fn must_not_repeat(&self, paths: impl Iterator<Item = String>) {
        self.done.lock().unwrap().extend(paths);
    }

    /// How often each path was called.
    pub(super) fn calls(&self) -> BTreeMap<String, u32> {
        self.calls.lock().unwrap().clone()
    }

    fn answer(&self, target: &Target, call: &Call, meta: &CallMeta, path: &str) -> Result<Reply, CallError> {
        let input: Value = serde_json::from_slice(&call.body).unwrap();
        let Target::Workflow { node: id, .. } = target else {
            // The one tool.
            return Ok(reply(ReplyKind::Value, &mixed("tool", &input).into()));
        };
        let failed = || CallError::Failed {
            plugin: "random".into(),
            code: code::FAILED,
            message: format!("{id} failed"),
            retryable: true,
            detail: Value::Null,
        };
        let value = |value: Value| Ok(reply(ReplyKind::Value, &value));
        match &self.code[&**id] {
            Code::Spread(Some(items)) => value(spread(id, *items, &input)),
            Code::Holds(Some(holds)) => value((*holds).into()),
            Code::Spread(None) | Code::Holds(None) | Code::Step(Does::Fail) => Err(failed()),
            Code::Times { until, times } => {
                let iteration: u32 = path.rsplit('#').next().unwrap().parse().unwrap();
                value(((iteration == *times) == *until).into())
            }
            Code::Step(Does::FailFirst(times)) if meta.attempt.unwrap() <= *times => Err(failed()),
            Code::Step(Does::FailIfOdd) if is_odd(&input) => Err(failed()),
            Code::Step(Does::Give | Does::FailFirst(_) | Does::FailIfOdd) => value(mixed(id, &input).into()),
            Code::Step(Does::Ask) => match &meta.resume_data {
                Some(answer) => value(mixed(id, &json!([input, answer])).into()),
                None => Ok(reply(ReplyKind::Suspended, &json!({"asks": id}))),
            },
            Code::Step(Does::Bail) => Ok(reply(ReplyKind::Bailed, &mixed(id, &input).into())),
            Code::Step(Does::Trip) => Ok(reply(ReplyKind::Tripped, &json!({"reason": id}))),
        }
    }
}

fn learn(node: &Node, code: &mut HashMap<String, Code>) {
    match &node.kind {
        Kind::Step { does, .. } => drop(code.insert(node.id.clone(), Code::Step(*does))),
        Kind::Spread(items) => drop(code.insert(node.id.clone(), Code::Spread(*items))),
        Kind::Branch(arms) => {
            code.extend(arms.iter().map(|(holds, node)| (taken(node), Code::Holds(*holds))));
        }
        Kind::Loop { until, times, .. } => {
            code.insert(again(node), Code::Times { until: *until, times: *times });
        }
        Kind::Tool | Kind::Parallel(_) | Kind::Foreach { .. } | Kind::Sleep | Kind::Nested(_) => {}
    }
}

fn reply(kind: ReplyKind, body: &Value) -> Reply {
    Reply { kind, body: body.to_string().into_bytes(), meta: Vec::new(), vectors: Vec::new() }
}

/// The plugin as the host holds it.
pub(super) struct Opened(pub(super) Arc<Plugin>);

impl Instance for Opened {
    fn call(&self, target: Target, call: Call, guard: InFlightGuard) -> BoxFuture<'static, Result<Reply, CallError>> {
        let plugin = Arc::clone(&self.0);
        Box::pin(async move {
            let _guard = guard;
            if plugin.store.statistics().commits >= plugin.limit.load(Ordering::SeqCst) {
                plugin.silent.notify_one();
                return pending().await;
            }
            let meta: CallMeta = serde_json::from_slice(&call.meta).unwrap();
            let (_, path) = meta.idempotency_key.as_deref().unwrap().split_once('/').unwrap();
            if plugin.done.lock().unwrap().contains(path) {
                plugin.repeated.lock().unwrap().push(path.to_owned());
            }
            *plugin.calls.lock().unwrap().entry(path.to_owned()).or_default() += 1;
            plugin.answer(&target, &call, &meta, path)
        })
    }

    fn shutdown(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}
