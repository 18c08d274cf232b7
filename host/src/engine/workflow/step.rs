//! One execution of a node: called, timed, tried again, suspended, and what it came to stored.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hotbay_plugin::{
    error::{RetryHint, code},
    manifest::CallMeta,
};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::{
    context::StepContext,
    execution::Execution,
    interpreter::{Flow, Repetition, Scope},
    journal::{BACKLOG, Standing},
    spans,
};
use crate::{
    engine::{error::EngineError, tool_call},
    plugin::{
        call::{Call, CallError, Reply, ReplyKind, Target},
        registry::{Route, Snapshot},
    },
    services::{Origin, StepServices},
    types::{
        graph::{Callee, Node, OnRecover, Retry, Task},
        id::Millis,
        json,
        run::{RunChunk, RunError, StepRecord, StepStatus},
    },
};

/// Chunks a step wrote that are not in the stream yet; a step that writes faster waits.
const CHUNKS: usize = 64;
/// A wait up to this long keeps the run in memory.
const SHORT_WAIT: Duration = Duration::from_secs(5);

/// What one attempt came to.
enum Attempt {
    Done(Value),
    Suspended { payload: Value, labels: Vec<String> },
    Bailed(Value),
    Tripped(Value),
    Failed { error: RunError, is_final: bool, wait: Option<Duration> },
    Other(Flow),
}

impl Execution {
    /// Runs something that is called, from wherever it was.
    pub(super) async fn task(
        &self,
        node: &Node,
        task: &Task,
        scope: &Scope,
        repetition: Repetition,
        input: Value,
    ) -> Flow {
        let path = repetition.path(scope, node);
        let step = format!("{}{}", scope.steps, node.name);
        let former = self.journal.get(&path);
        if let Some(flow) = former.as_ref().and_then(Flow::of_ended) {
            return flow;
        }
        if let Some(record) = &former {
            match record.status {
                // A workflow inside is suspended through its steps; it goes on if one of them does.
                StepStatus::Suspended if !record.answered && !self.is_answered_inside(&path) => {
                    return Flow::Suspended;
                }
                StepStatus::Running if task.on_recover == OnRecover::Fail => {
                    let error = RunError::new(format!("the host stopped while step `{step}` was running"));
                    return self.end_other(&path, record.clone(), Flow::Failed(error), true).await;
                }
                StepStatus::Running if task.on_recover == OnRecover::Suspend => {
                    let payload = json!({"reason": "the host stopped while the step was running", "step": step});
                    let record = StepRecord { suspend_payload: Some(payload), ..record.clone() };
                    return self.end_other(&path, record, Flow::Suspended, true).await;
                }
                _ => {}
            }
        }
        if self.cancel.is_cancelled() {
            return Flow::Canceled;
        }
        if self.stop.is_cancelled() {
            return Flow::Interrupted("the host stops".to_owned());
        }
        let mut record = match former {
            Some(former) => {
                if let Some(at) = former.wake_at
                    && let Some(flow) = self.wait_until(at).await
                {
                    return flow;
                }
                StepRecord {
                    status: StepStatus::Running,
                    wake_at: None,
                    call_id: crate::types::id::fresh(),
                    payload: Some(input.clone()),
                    ..former
                }
            }
            None => self.journal.begin(&path, &step, &input),
        };
        record.iteration = repetition.iteration;
        record.item = repetition.item;
        record.attempt = record.attempt.max(1);
        self.journal.show(&path, &record);
        // Items of an array are told of as progress.
        let is_told = repetition.item.is_none();
        if is_told {
            self.journal.feed.push(RunChunk::StepStart(record.clone()));
        }
        if task.on_recover != OnRecover::Retry {
            // The next host must see that it was running.
            self.journal.put(&path, record.clone(), None);
            if let Err(lost) = self.journal.commit(Standing::default()).await {
                return lost.into();
            }
        }
        let span = self.step_span(node, scope, &input);
        let within = scope.within(&span);
        let log = crate::engine::spans::log_within(within.span.as_ref());
        let flow = self.attempts(node, task, &within, path, step, record, input, is_told).instrument(log).await;
        self.end_step(span, node, scope, &flow);
        flow
    }

    /// Calls until it is over or waits.
    #[expect(clippy::too_many_arguments, reason = "what one execution of a node is made of")]
    async fn attempts(
        &self,
        node: &Node,
        task: &Task,
        scope: &Scope,
        path: String,
        step: String,
        mut record: StepRecord,
        input: Value,
        is_told: bool,
    ) -> Flow {
        if let Some(schema) = &task.input {
            let issues = schema.issues(&input);
            if !issues.is_empty() {
                let lines: Vec<String> =
                    issues.iter().map(|issue| format!("- {}: {}", issue.field(), issue.message)).collect();
                let error = RunError::new(format!("Step input validation failed: \n{}", lines.join("\n")));
                return self.end_other(&path, record, Flow::Failed(error), is_told).await;
            }
        }
        let retries = task.retries.or(self.program.root.graph.retries).unwrap_or_default();
        loop {
            let attempt = match &task.callee {
                Callee::Workflow(id) => self.inner(id, scope, &path, &step, &input).await,
                _ => self.attempt(node, task, scope, &path, &record, &input).await,
            };
            return match attempt {
                Attempt::Done(output) => self.done(&path, record, output, scope, is_told).await,
                Attempt::Suspended { payload, labels } => {
                    record.suspend_payload = Some(payload);
                    record.resume_labels = labels;
                    self.end_other(&path, record, Flow::Suspended, is_told).await
                }
                Attempt::Bailed(value) => self.end_other(&path, record, Flow::Bailed(value), is_told).await,
                Attempt::Tripped(reason) => self.end_other(&path, record, Flow::Tripped(reason), is_told).await,
                Attempt::Other(flow) => self.end_other(&path, record, flow, is_told).await,
                Attempt::Failed { error, is_final, wait } => {
                    if is_final || record.attempt > retries.attempts {
                        return self.end_other(&path, record, Flow::Failed(error), is_told).await;
                    }
                    match self.back_off(&path, &mut record, retries, wait).await {
                        Some(flow) => flow,
                        None => continue,
                    }
                }
            };
        }
    }

    async fn done(&self, path: &str, record: StepRecord, output: Value, scope: &Scope, is_told: bool) -> Flow {
        if is_told {
            return self.end_done(path, record, output, scope).await;
        }
        let now = Millis::now().0;
        let record = StepRecord {
            status: StepStatus::Success,
            output: Some(output.clone()),
            ended_at: Some(now),
            answered: false,
            suspend_payload: None,
            suspended_at: None,
            ..record
        };
        self.journal.put(path, record, None);
        match self.journal.commit(Standing::default()).await {
            Ok(()) => Flow::Done(output),
            Err(lost) => lost.into(),
        }
    }

    /// Whether something inside a workflow has an answer it has not seen.
    fn is_answered_inside(&self, path: &str) -> bool {
        self.journal.read(|records| {
            records.iter().any(|(inner, record)| {
                record.answered && inner.strip_prefix(path).is_some_and(|it| it.starts_with('.'))
            })
        })
    }

    /// Stores that a failed attempt is followed by another, and waits for it. Returns a flow
    /// if the wait is too long to stay.
    async fn back_off(
        &self,
        path: &str,
        record: &mut StepRecord,
        retries: Retry,
        asked: Option<Duration>,
    ) -> Option<Flow> {
        let wait = retries.wait(record.attempt).max(asked.unwrap_or_default());
        record.attempt += 1;
        let at = Millis::now().0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let waiting = StepRecord { status: StepStatus::Waiting, wake_at: Some(at), ..record.clone() };
        self.journal.put(path, waiting, None);
        if let Err(lost) = self.journal.commit(Standing::default()).await {
            return Some(lost.into());
        }
        self.wait_until(at).await
    }

    /// Waits for a time. Returns a flow if that is too long to stay in memory, or the run ends.
    pub(super) async fn wait_until(&self, at: i64) -> Option<Flow> {
        let left = Duration::from_millis(u64::try_from(at.saturating_sub(Millis::now().0)).unwrap_or(0));
        if left > SHORT_WAIT {
            return Some(Flow::Waiting(at));
        }
        tokio::select! {
            () = tokio::time::sleep(left) => None,
            () = self.cancel.cancelled() => Some(Flow::Canceled),
            () = self.stop.cancelled() => Some(Flow::Interrupted("the host stops".to_owned())),
        }
    }

    /// Runs a workflow inside this run.
    async fn inner(&self, id: &str, scope: &Scope, path: &str, step: &str, input: &Value) -> Attempt {
        let Some(entry) = self.program.nested.get(id) else {
            return failed(format!("there is no workflow `{id}`"));
        };
        let outer = scope.span.as_ref();
        let scope = Scope {
            entry: Arc::clone(entry),
            path: format!("{path}."),
            steps: format!("{step}."),
            is_root: false,
            is_last: scope.is_last,
            span: None,
        };
        let run = spans::begin_inner(outer, &entry.id, input);
        let scope = scope.within(&run);
        let flow = Box::pin(self.sequence(&entry.graph.nodes, &scope, input.clone())).await;
        spans::end_inner(run, &flow);
        match flow {
            Flow::Done(value) | Flow::Bailed(value) => Attempt::Done(value),
            // Its own steps were tried again as often as they may.
            Flow::Failed(error) => Attempt::Failed { error, is_final: true, wait: None },
            Flow::Tripped(reason) => Attempt::Tripped(reason),
            flow => Attempt::Other(flow),
        }
    }

    /// Calls once.
    async fn attempt(
        &self,
        node: &Node,
        task: &Task,
        scope: &Scope,
        path: &str,
        record: &StepRecord,
        input: &Value,
    ) -> Attempt {
        let meta = CallMeta {
            run_id: Some(self.run_id.to_string()),
            resource_id: self.resource_id.clone(),
            idempotency_key: Some(format!("{}/{path}", self.run_id)),
            attempt: Some(record.attempt),
            resume_data: record.resume_payload.clone().filter(|_| record.answered),
            suspend_payload: record.suspend_payload.clone().filter(|_| record.answered),
            request_context: self.input.request_context.clone(),
            ..CallMeta::default()
        };
        let work = async {
            match &task.callee {
                Callee::Tool(id) => self.call_tool(id, input, meta, scope, path, record.attempt, task.timeout).await,
                Callee::Agent(id) => self.ask_agent(id, input, scope).await,
                Callee::Step | Callee::Workflow(_) => {
                    let target = Target::Workflow { id: Arc::clone(&scope.entry.id), node: Arc::clone(&node.id) };
                    let context = self.context(path, scope, record.attempt, input);
                    let reply = self.call_node(target, scope, input, &meta, context, task.timeout, &record.step).await;
                    attempt_of(reply)
                }
            }
        };
        tokio::select! {
            attempt = work => attempt,
            () = self.given_up() => Attempt::Other(Flow::Canceled),
        }
    }

    /// Resolves when a step may no longer go on though its run was ended.
    async fn given_up(&self) {
        self.cancel.cancelled().await;
        tokio::time::sleep(self.workflows.cancel_grace()).await;
    }

    pub(super) fn context(&self, path: &str, scope: &Scope, attempt: u32, input: &Value) -> Arc<StepContext> {
        Arc::new(StepContext::new(
            Arc::clone(&self.journal),
            format!("{path}@{attempt}"),
            scope.path.clone(),
            self.input.input.clone().unwrap_or_else(|| input.clone()),
        ))
    }

    /// Returns what a call is made for: the step, and all plugins as they are at this moment.
    fn origin(&self, step: Arc<dyn StepServices>, scope: &Scope) -> Origin {
        Origin { step: Some(step), ..self.bare_origin(scope) }
    }

    /// Returns all plugins at this moment, as the run sees them.
    fn snapshot(&self) -> Arc<Snapshot> {
        self.workflows.engine().snapshot_for(&Route::of_run(&self.run_id))
    }

    fn bare_origin(&self, scope: &Scope) -> Origin {
        let snapshot = self.snapshot();
        Origin { snapshot, depth: self.input.depth, step: None, span: scope.span.clone() }
    }

    /// Calls a node's code and puts what it writes into the stream.
    #[expect(clippy::too_many_arguments, reason = "what one call is made of")]
    pub(super) async fn call_node(
        &self,
        target: Target,
        scope: &Scope,
        input: &Value,
        meta: &CallMeta,
        context: Arc<StepContext>,
        timeout: Option<Duration>,
        step: &str,
    ) -> Result<Reply, CallError> {
        let (sink, mut chunks) = mpsc::channel(CHUNKS);
        let call = Call {
            body: json::write(input),
            meta: serde_json::to_vec(meta).unwrap_or_default(),
            deadline: timeout,
            sink: Some(sink),
            context: Some(Arc::new(self.origin(Arc::<StepContext>::clone(&context), scope))),
            ..Call::default()
        };
        let mut reply = std::pin::pin!(scope.entry.generation.call(target, call));
        let reply = loop {
            tokio::select! {
                biased;
                chunk = chunks.recv(), if !chunks.is_closed() => if let Some(chunk) = chunk {
                    self.tell(step, &chunk).await;
                },
                reply = &mut reply => break reply,
            }
        };
        while let Ok(chunk) = chunks.try_recv() {
            self.tell(step, &chunk).await;
        }
        if reply.is_ok()
            && let Some(state) = context.take_state()
        {
            self.journal.set_run_state(state);
        }
        reply
    }

    /// Puts what a step wrote into the stream.
    async fn tell(&self, step: &str, chunk: &Bytes) {
        let Ok(output) = json::read::<Value>(chunk) else {
            tracing::warn!(run.id = &*self.run_id, step, "a step wrote something that is not JSON");
            return;
        };
        self.journal.feed.push(RunChunk::Output { step: step.to_owned(), output });
        // A lease that is lost shows at the step's end.
        if self.journal.feed.backlog() > BACKLOG
            && let Err(lost) = self.journal.commit(Standing::default()).await
        {
            tracing::debug!(run.id = &*self.run_id, ?lost, "what a step wrote is not stored");
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what one call is made of")]
    async fn call_tool(
        &self,
        id: &str,
        input: &Value,
        meta: CallMeta,
        scope: &Scope,
        path: &str,
        attempt: u32,
        timeout: Option<Duration>,
    ) -> Attempt {
        let snapshot = self.snapshot();
        let Some(tool) = snapshot.tools.get(id) else { return failed(format!("there is no tool `{id}`")) };
        let context = StepContext::new(
            Arc::clone(&self.journal),
            format!("{path}@{attempt}"),
            String::new(),
            self.input.input.clone().unwrap_or(Value::Null),
        );
        let origin = self.origin(Arc::new(context), scope);
        match tool_call::in_workflow(tool, input, &meta, origin, timeout).await {
            Ok(reply) => attempt_of(Ok(reply)),
            Err(EngineError::Call(error)) => attempt_of(Err((*error).clone())),
            // What does not fit now will not fit later.
            Err(error) => Attempt::Failed { error: RunError::new(error.to_string()), is_final: true, wait: None },
        }
    }

    async fn ask_agent(&self, id: &str, input: &Value, scope: &Scope) -> Attempt {
        let Some(prompt) = input.get("prompt").and_then(Value::as_str) else {
            return Attempt::Failed {
                error: RunError::new(format!("agent `{id}` needs a `prompt`, a string")),
                is_final: true,
                wait: None,
            };
        };
        let messages = vec![hotbay_plugin::chat::Message::user(prompt)];
        let origin = self.bare_origin(scope);
        // In a box of its own: a run of an agent is large, and few steps are one.
        let asked = Box::pin(self.workflows.engine().ask(id.to_owned(), messages, Map::new(), Some(&origin)));
        match asked.await {
            Ok(answer) => Attempt::Done(match answer.object {
                Some(object) => json!({"text": answer.text, "object": object}),
                None => json!({"text": answer.text}),
            }),
            Err(error) => {
                let is_final = matches!(error, EngineError::UnknownAgent(_) | EngineError::NotSuspended(_));
                Attempt::Failed { error: RunError::new(error.to_string()), is_final, wait: None }
            }
        }
    }
}

fn failed(message: String) -> Attempt {
    Attempt::Failed { error: RunError::new(message), is_final: true, wait: None }
}

fn attempt_of(reply: Result<Reply, CallError>) -> Attempt {
    let reply = match reply {
        Ok(reply) => reply,
        // The plugin was taken away from under the call, which says nothing about the step.
        Err(error @ (CallError::Cancelled { .. } | CallError::Unavailable { .. })) => {
            return Attempt::Other(Flow::Interrupted(error.to_string()));
        }
        Err(error) => return failure(&error),
    };
    let body: Value = json::read(&reply.body).unwrap_or(Value::Null);
    match reply.kind {
        ReplyKind::Value => Attempt::Done(body),
        ReplyKind::Bailed => Attempt::Bailed(body),
        ReplyKind::Tripped => Attempt::Tripped(body),
        ReplyKind::Suspended => {
            let meta: Value = serde_json::from_slice(&reply.meta).unwrap_or(Value::Null);
            let labels = meta["resumeLabels"].as_array().into_iter().flatten();
            let labels = labels.filter_map(|label| label.as_str().map(str::to_owned)).collect();
            Attempt::Suspended { payload: body, labels }
        }
    }
}

fn failure(error: &CallError) -> Attempt {
    let mut is_final = false;
    let mut wait = None;
    let mut told = RunError::new(error.to_string());
    if let CallError::Failed { code: failed_with, message, detail, .. } = error {
        told.message.clone_from(message);
        match RetryHint::of(detail) {
            RetryHint::Never => is_final = true,
            RetryHint::After(least) => wait = Some(least),
            RetryHint::Policy => is_final = *failed_with == code::UNSUPPORTED,
        }
        told.details = detail.clone();
    }
    Attempt::Failed { error: told, is_final, wait }
}
