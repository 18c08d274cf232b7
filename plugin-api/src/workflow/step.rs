//! Steps: typed functions that make up a workflow.

use std::{future::Future, time::Duration};

use serde_json::Value;

use super::{
    code::Code,
    graph::{Node, NodeSource},
    policy::{Recover, Retry},
};
use crate::{
    Ctx, Result,
    abi::{Reply, abi_stable::std_types::RVec},
};

/// A step as `#[step]` declares it.
///
/// The attribute turns `async fn upper(..)` into `fn upper() -> Step`; the code itself
/// is then `upper::run(..)`.
#[derive(Clone)]
#[must_use]
pub struct Step {
    node: Node,
}

/// The schemas of a step.
#[doc(hidden)]
#[derive(Debug)]
pub struct StepSchemas {
    /// Of the input.
    pub input: Value,
    /// Of the result.
    pub output: Value,
    /// Of the payload it suspends with.
    pub suspend: Option<Value>,
    /// Of what it resumes with.
    pub resume: Option<Value>,
    /// Of the part of the run's state it uses.
    pub state: Option<Value>,
}

impl Step {
    /// Returns a step made of its parts; `#[step]` calls this.
    #[doc(hidden)]
    pub fn assemble<C, F>(origin: &'static str, id: &str, description: &str, schemas: StepSchemas, code: C) -> Self
    where
        C: Fn(Ctx, RVec<u8>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        let mut node = Node::of_type("step", id);
        if !description.is_empty() {
            node.set("description", description);
        }
        node.set("inputSchema", schemas.input);
        node.set("outputSchema", schemas.output);
        if let Some(schema) = schemas.suspend {
            node.set("suspendSchema", schema);
        }
        if let Some(schema) = schemas.resume {
            node.set("resumeSchema", schema);
        }
        if let Some(schema) = schemas.state {
            node.set("stateSchema", schema);
        }
        Self { node: node.with_code(Code::raw(Some(origin), code)) }
    }

    /// Gives the step another id, so that one function can stand in a graph under several.
    pub fn id(self, id: impl Into<String>) -> Self {
        Self { node: self.node.renamed(id.into()) }
    }

    /// Repeats the step when it fails.
    pub fn retries(self, retry: Retry) -> Self {
        Self { node: self.node.retries(retry) }
    }

    /// Limits the duration of one attempt.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { node: self.node.timeout(timeout) }
    }

    /// Says what becomes of the step if the host dies while it runs; [`Recover::Retry`] if not set.
    pub fn on_recover(self, recover: Recover) -> Self {
        Self { node: self.node.on_recover(recover) }
    }
}

impl NodeSource for Step {
    fn into_node(self) -> Node {
        self.node
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step").field("node", &self.node).finish()
    }
}
