//! Walking a graph: which node comes next, with what, and what its end means for the run.
//!
//! The walk is repeated from the beginning whenever a run goes on, so everything in here must
//! come to the same with the same journal. What is not in the graph or the journal (a
//! condition's answer, the end of a sleep) is therefore put into the journal.

use std::sync::Arc;

use futures::{
    StreamExt,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use serde_json::{Map, Value};

use super::{
    execution::Execution,
    journal::{Lost, Standing},
};
use crate::{
    observe::tracer::{ActiveSpan, SpanContext},
    plugin::registry::WorkflowEntry,
    types::{
        graph::{Arm, Kind, Node, Task},
        id::Millis,
        run::{RunChunk, RunError, StepRecord, StepStatus},
    },
};

/// What became of a node, or of nodes in a row.
#[derive(Debug)]
pub(super) enum Flow {
    /// It gave a result.
    Done(Value),
    /// It failed for good.
    Failed(RunError),
    /// It left the workflow with this result.
    Bailed(Value),
    /// It tripped, with a reason.
    Tripped(Value),
    /// It waits for somebody.
    Suspended,
    /// It waits for this time, in milliseconds since 1970.
    Waiting(i64),
    /// The run is to stop after each step.
    Paused,
    /// Somebody ended the run.
    Canceled,
    /// The host stops, or the plugin is gone: somebody goes on from here.
    Interrupted(String),
    /// This host no longer drives the run.
    Lost(Lost),
}

impl Flow {
    /// Which of several flows decides, when nodes ran at once.
    fn rank(&self) -> u8 {
        match self {
            Self::Lost(_) => 9,
            Self::Interrupted(_) => 8,
            Self::Failed(_) => 7,
            Self::Tripped(_) => 6,
            Self::Canceled => 5,
            Self::Bailed(_) => 4,
            Self::Suspended => 2,
            Self::Waiting(_) => 1,
            Self::Paused | Self::Done(_) => 0,
        }
    }

    /// Returns what an execution that is over came to; `None` if it is not.
    pub(super) fn of_ended(record: &StepRecord) -> Option<Self> {
        let output = || record.output.clone().unwrap_or(Value::Null);
        match record.status {
            StepStatus::Success if record.bailed => Some(Self::Bailed(output())),
            StepStatus::Success => Some(Self::Done(output())),
            StepStatus::Failed => Some(match (&record.tripwire, &record.error) {
                (Some(reason), _) => Self::Tripped(reason.clone()),
                (None, Some(error)) => Self::Failed(error.clone()),
                (None, None) => Self::Failed(RunError::new("the step failed")),
            }),
            StepStatus::Running | StepStatus::Waiting | StepStatus::Suspended | StepStatus::Bailed => None,
        }
    }

    /// Returns the flow that decides; of two waits the one that ends first.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Waiting(one), Self::Waiting(two)) => Self::Waiting(one.min(two)),
            (one, two) if two.rank() > one.rank() => two,
            (one, _) => one,
        }
    }
}

impl From<Lost> for Flow {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// Where in the run a walk is: in which workflow, under which names.
#[derive(Clone)]
pub(super) struct Scope {
    /// The workflow whose nodes are walked.
    pub(super) entry: Arc<WorkflowEntry>,
    /// Put before a node's key to name what it came to.
    pub(super) path: String,
    /// Put before a node's id to name it for people.
    pub(super) steps: String,
    /// It is the run's own workflow.
    pub(super) is_root: bool,
    /// Nothing follows it in the run.
    pub(super) is_last: bool,
    /// The span of what is walked or called, if that is recorded.
    pub(super) span: Option<SpanContext>,
}

impl Scope {
    pub(super) fn root(entry: &Arc<WorkflowEntry>, span: Option<SpanContext>) -> Self {
        Self { entry: Arc::clone(entry), path: String::new(), steps: String::new(), is_root: true, is_last: true, span }
    }

    /// Returns the same place, for what is called in a span.
    pub(super) fn within(&self, span: &ActiveSpan) -> Self {
        Self { span: span.context().or_else(|| self.span.clone()), ..self.clone() }
    }

    /// Returns the same place, for a node that something may follow.
    fn followed(&self) -> Self {
        Self { is_last: false, ..self.clone() }
    }
}

/// What an execution of a node is one of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Repetition {
    /// The repetition of a loop, from 1.
    pub(super) iteration: Option<u32>,
    /// The item of an array, from 0.
    pub(super) item: Option<u32>,
}

impl Repetition {
    /// Returns the name of the execution of a node.
    pub(super) fn path(self, scope: &Scope, node: &Node) -> String {
        match (self.iteration, self.item) {
            (Some(iteration), _) => format!("{}{}#{iteration}", scope.path, node.key),
            (_, Some(item)) => format!("{}{}[{item}]", scope.path, node.key),
            (None, None) => format!("{}{}", scope.path, node.key),
        }
    }
}

impl Execution {
    /// Runs nodes one after another, each with the result of the one before.
    pub(super) async fn sequence(&self, nodes: &[Node], scope: &Scope, input: Value) -> Flow {
        let mut value = input;
        for (index, node) in nodes.iter().enumerate() {
            let is_last = scope.is_last && index + 1 == nodes.len();
            let scope = Scope { is_last, ..scope.clone() };
            let was_done = self.is_done(&scope, node);
            match self.node(node, &scope, value).await {
                Flow::Done(result) => value = result,
                flow => return flow,
            }
            if self.input.per_step && scope.is_root && !was_done && index + 1 < nodes.len() {
                return Flow::Paused;
            }
        }
        Flow::Done(value)
    }

    fn is_done(&self, scope: &Scope, node: &Node) -> bool {
        self.input.per_step
            && self.journal.read(|records| {
                let path = Repetition::default().path(scope, node);
                records.get(&path).is_some_and(|record| record.status == StepStatus::Success)
            })
    }

    /// Runs one node. Boxed, for nodes are in nodes.
    fn node<'a>(&'a self, node: &'a Node, scope: &'a Scope, input: Value) -> BoxFuture<'a, Flow> {
        Box::pin(self.kind(node, scope, input))
    }

    async fn kind(&self, node: &Node, scope: &Scope, input: Value) -> Flow {
        match &node.kind {
            Kind::Task(task) => self.task(node, task, scope, Repetition::default(), input).await,
            Kind::Parallel(nodes) => self.at_once(nodes.iter().collect(), &scope.followed(), &input).await,
            Kind::Branch(arms) => self.branch(arms, scope, input).await,
            Kind::Loop { until, condition, body } => self.repeat(*until, condition, body, scope, input).await,
            Kind::Foreach { body, concurrency } => self.foreach(body, *concurrency, scope, input).await,
            Kind::Map => self.map(node, scope, input).await,
            Kind::Sleep(wait) => self.sleep(node, wait, scope, input).await,
        }
    }

    async fn branch(&self, arms: &[Arm], scope: &Scope, input: Value) -> Flow {
        let mut taken = Vec::new();
        for arm in arms {
            let path = format!("{}{}", scope.path, arm.condition);
            match self.condition(&arm.condition, path, scope, &input).await {
                Ok(true) => taken.push(&arm.node),
                Ok(false) => {}
                Err(flow) => return flow,
            }
        }
        self.at_once(taken, &scope.followed(), &input).await
    }

    async fn repeat(&self, until: bool, condition: &str, body: &Node, scope: &Scope, input: Value) -> Flow {
        let Kind::Task(task) = &body.kind else { return Flow::Failed(RunError::new("a loop repeats no task")) };
        let scope = scope.followed();
        let mut value = input;
        for iteration in 1..=u32::MAX {
            let repetition = Repetition { iteration: Some(iteration), item: None };
            value = match self.task(body, task, &scope, repetition, value).await {
                Flow::Done(result) => result,
                flow => return flow,
            };
            let path = format!("{}{condition}#{iteration}", scope.path);
            match self.condition(condition, path, &scope, &value).await {
                Ok(holds) if holds == until => return Flow::Done(value),
                Ok(_) => {}
                Err(flow) => return flow,
            }
        }
        Flow::Failed(RunError::new("the loop does not end"))
    }

    async fn foreach(&self, body: &Node, concurrency: usize, scope: &Scope, input: Value) -> Flow {
        let Kind::Task(task) = &body.kind else { return Flow::Failed(RunError::new("a foreach repeats no task")) };
        let path = Repetition::default().path(scope, body);
        let step = format!("{}{}", scope.steps, body.id);
        let former = self.journal.get(&path);
        if let Some(flow) = former.as_ref().filter(|it| it.status == StepStatus::Success).and_then(Flow::of_ended) {
            return flow;
        }
        let Value::Array(items) = &input else {
            return self.end_failed(&path, &step, &input, "foreach needs an array").await;
        };
        let mut record = match former {
            Some(former) => StepRecord { status: StepStatus::Running, wake_at: None, ..former },
            None => self.journal.begin(&path, &step, &input),
        };
        record.call_id.clear();
        self.journal.show(&path, &record);
        self.journal.feed.push(RunChunk::StepStart(record.clone()));
        let inner = scope.followed();
        let total = items.len() as u64;
        let mut flows: Vec<Option<Flow>> = items.iter().map(|_| None).collect();
        let mut waiting = items.iter().enumerate();
        let mut running = FuturesUnordered::new();
        let mut completed = 0;
        // An item that waits or fails keeps those that were not begun from beginning.
        let mut goes_on = true;
        loop {
            while goes_on && running.len() < concurrency {
                let Some((index, item)) = waiting.next() else { break };
                running.push(self.item(body, task, &inner, index, item.clone()));
            }
            let Some((index, flow)) = running.next().await else { break };
            match flow {
                Flow::Done(_) => completed += 1,
                _ => goes_on = false,
            }
            self.tell_progress(&step, index, completed, total, &flow);
            if let Some(place) = flows.get_mut(index) {
                *place = Some(flow);
            }
        }
        drop(running);
        let decided = flows.iter_mut().filter_map(|flow| match flow {
            Some(Flow::Done(_)) | None => None,
            Some(_) => flow.take(),
        });
        if let Some(flow) = decided.reduce(Flow::or) {
            return self.end_other(&path, record, flow, true).await;
        }
        let output: Vec<Value> = flows
            .into_iter()
            .filter_map(|flow| match flow {
                Some(Flow::Done(value)) => Some(value),
                _ => None,
            })
            .collect();
        self.end_done(&path, record, output.into(), scope).await
    }

    fn item<'a>(
        &'a self,
        body: &'a Node,
        task: &'a Task,
        scope: &'a Scope,
        index: usize,
        item: Value,
    ) -> BoxFuture<'a, (usize, Flow)> {
        let repetition = Repetition { iteration: None, item: u32::try_from(index).ok() };
        Box::pin(async move { (index, self.task(body, task, scope, repetition, item).await) })
    }

    /// Runs nodes at once, each with the same input.
    async fn at_once(&self, nodes: Vec<&Node>, scope: &Scope, input: &Value) -> Flow {
        let mut running: Vec<BoxFuture<'_, Flow>> = Vec::with_capacity(nodes.len());
        for node in &nodes {
            running.push(self.node(node, scope, input.clone()));
        }
        let flows = join_all(running).await;
        gather(nodes.into_iter(), flows)
    }

    fn tell_progress(&self, step: &str, index: usize, completed: u64, total: u64, flow: &Flow) {
        let (status, output) = match flow {
            Flow::Done(value) => (StepStatus::Success, Some(value.clone())),
            Flow::Suspended => (StepStatus::Suspended, None),
            Flow::Failed(_) => (StepStatus::Failed, None),
            _ => return,
        };
        let step = step.to_owned();
        self.journal.feed.push(RunChunk::Progress { step, completed, total, index: index as u64, status, output });
    }

    /// Stores the result of a node and goes on with it.
    pub(super) async fn end_done(&self, path: &str, record: StepRecord, output: Value, scope: &Scope) -> Flow {
        let record = StepRecord {
            status: StepStatus::Success,
            output: Some(output.clone()),
            error: None,
            ended_at: Some(Millis::now().0),
            answered: false,
            wake_at: None,
            suspend_payload: None,
            suspended_at: None,
            waits_inside: None,
            resume_labels: Vec::new(),
            ..record
        };
        let chunk = RunChunk::StepResult(record.clone());
        self.journal.put(path, record, Some(chunk));
        // The last result of a run is stored with the run's end.
        if !scope.is_last
            && let Err(lost) = self.journal.commit(Standing::default()).await
        {
            return lost.into();
        }
        Flow::Done(output)
    }

    /// Stores the failure of a node that was not begun.
    pub(super) async fn end_failed(&self, path: &str, step: &str, input: &Value, message: &str) -> Flow {
        let record = self.journal.begin(path, step, input);
        self.end_other(path, record, Flow::Failed(RunError::new(message)), true).await
    }

    /// Puts in the journal what became of a node that did not give a result; it is stored
    /// with what the run comes to. Items of an array are not told of.
    pub(super) async fn end_other(&self, path: &str, record: StepRecord, flow: Flow, is_told: bool) -> Flow {
        let now = Millis::now().0;
        let (record, chunk) = match &flow {
            Flow::Failed(error) => {
                let record = StepRecord {
                    status: StepStatus::Failed,
                    error: Some(error.clone()),
                    ended_at: Some(now),
                    answered: false,
                    ..record
                };
                (record.clone(), Some(RunChunk::StepResult(record)))
            }
            Flow::Bailed(value) => {
                let record = StepRecord {
                    status: StepStatus::Success,
                    output: Some(value.clone()),
                    bailed: true,
                    ended_at: Some(now),
                    answered: false,
                    ..record
                };
                let told = StepRecord { status: StepStatus::Bailed, ..record.clone() };
                (record, Some(RunChunk::StepResult(told)))
            }
            Flow::Suspended => {
                let inner = self.first_waiting_inside(path);
                let waits_inside = inner.as_ref().and_then(|inner| inner.step.strip_prefix(&record.step));
                let waits_inside = waits_inside.and_then(|rest| rest.strip_prefix('.')).map(str::to_owned);
                let record = StepRecord {
                    status: StepStatus::Suspended,
                    waits_inside,
                    suspend_payload: match inner {
                        Some(inner) => inner.suspend_payload,
                        None => record.suspend_payload.clone(),
                    },
                    suspended_at: Some(now),
                    answered: false,
                    ..record
                };
                (record.clone(), Some(RunChunk::StepSuspended(record)))
            }
            Flow::Waiting(_) => (StepRecord { status: StepStatus::Waiting, ..record }, None),
            Flow::Tripped(reason) => {
                let tripwire = Some(reason.clone());
                (StepRecord { status: StepStatus::Failed, tripwire, ended_at: Some(now), ..record }, None)
            }
            // Nothing is known of it that is worth storing: it begins again.
            _ => return flow,
        };
        self.journal.put(path, record, chunk.filter(|_| is_told));
        flow
    }

    /// Returns the first execution inside a node that waits for somebody itself.
    fn first_waiting_inside(&self, path: &str) -> Option<StepRecord> {
        self.journal.read(|records| {
            records
                .iter()
                .filter(|(inner, record)| {
                    record.status == StepStatus::Suspended
                        && inner.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']))
                })
                .min_by_key(|(inner, record)| (std::cmp::Reverse(inner.len()), record.order))
                .map(|(_, record)| record.clone())
        })
    }
}

/// Makes the result of nodes that ran at once: an object by id.
fn gather<'a>(nodes: impl Iterator<Item = &'a Node>, flows: Vec<Flow>) -> Flow {
    let mut results = Map::new();
    let mut decided: Option<Flow> = None;
    for (node, flow) in nodes.zip(flows) {
        match flow {
            Flow::Done(value) => {
                results.insert(node.name.to_string(), value);
            }
            flow => {
                decided = Some(match decided {
                    Some(before) => before.or(flow),
                    None => flow,
                });
            }
        }
    }
    decided.unwrap_or(Flow::Done(results.into()))
}
