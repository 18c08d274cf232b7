//! What can be done to a server: each is one request that changes something.

use serde_json::{Value, json};

use crate::want::{Address, Want};

/// Who may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Viewer,
    Operator,
    Admin,
}

impl Role {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Admin].into_iter().find(|role| role.word() == word)
    }
}

/// What can be done to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PluginOrder {
    Reload,
    Rollback,
    Disable,
    Enable,
    Promote,
    Abort,
}

impl PluginOrder {
    /// The last segment of the endpoint's path.
    const fn segment(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Rollback => "rollback",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Promote => "promote",
            Self::Abort => "abort",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Rollback => "roll back",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Promote => "promote the canary of",
            Self::Abort => "abort the canary of",
        }
    }
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Order {
    Plugin {
        name: String,
        order: PluginOrder,
    },
    /// Try a build with a share of the calls.
    Canary {
        name: String,
        plan: Value,
    },
    StartRun {
        workflow: String,
        input: Value,
    },
    CancelRun {
        workflow: String,
        run: String,
    },
    RestartRun {
        workflow: String,
        run: String,
    },
    DeleteRun {
        workflow: String,
        run: String,
    },
    /// Answer a step that waits: ids from the outermost workflow on.
    ResumeRun {
        workflow: String,
        run: String,
        step: Vec<String>,
        data: Value,
    },
    ExecuteTool {
        tool: String,
        input: Value,
    },
    CreateThread {
        resource: String,
        title: String,
    },
    RenameThread {
        thread: String,
        title: String,
    },
    CloneThread {
        thread: String,
        title: String,
    },
    DeleteThread {
        thread: String,
    },
}

/// A request that changes something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) address: Address,
    pub(crate) body: Option<Value>,
}

impl Order {
    /// Returns the request.
    pub(crate) fn request(&self) -> Request {
        let post = |address: Address, body: Value| Request { method: "POST", address, body: Some(body) };
        match self {
            Self::Plugin { name, order } => {
                Request { method: "POST", address: Address::new(&["plugins", name, order.segment()]), body: None }
            }
            Self::Canary { name, plan } => post(Address::new(&["plugins", name, "canary"]), plan.clone()),
            Self::StartRun { workflow, input } => {
                // Only this one says what is wrong with the input; it answers once the run ends or waits.
                post(Address::new(&["workflows", workflow, "start-async"]), json!({"inputData": input}))
            }
            Self::CancelRun { workflow, run } => Request {
                method: "POST",
                address: Address::new(&["workflows", workflow, "runs", run, "cancel"]),
                body: None,
            },
            Self::RestartRun { workflow, run } => {
                post(Address::new(&["workflows", workflow, "restart"]).with("runId", run), json!({}))
            }
            Self::DeleteRun { workflow, run } => {
                Request { method: "DELETE", address: Address::new(&["workflows", workflow, "runs", run]), body: None }
            }
            Self::ResumeRun { workflow, run, step, data } => post(
                Address::new(&["workflows", workflow, "resume-async"]).with("runId", run),
                json!({"step": step, "resumeData": data}),
            ),
            Self::ExecuteTool { tool, input } => {
                post(Address::new(&["tools", tool, "execute"]), json!({"data": input}))
            }
            Self::CreateThread { resource, title } => {
                post(Address::new(&["memory", "threads"]), json!({"resourceId": resource, "title": title}))
            }
            Self::RenameThread { thread, title } => Request {
                method: "PATCH",
                address: Address::new(&["memory", "threads", thread]),
                body: Some(json!({"title": title})),
            },
            Self::CloneThread { thread, title } => {
                let body = if title.is_empty() { json!({}) } else { json!({"title": title}) };
                post(Address::new(&["memory", "threads", thread, "clone"]), body)
            }
            Self::DeleteThread { thread } => {
                Request { method: "DELETE", address: Address::new(&["memory", "threads", thread]), body: None }
            }
        }
    }

    /// Returns who may have it done.
    pub(crate) const fn role(&self) -> Role {
        match self {
            Self::Plugin { .. } | Self::Canary { .. } => Role::Admin,
            _ => Role::Operator,
        }
    }

    /// Returns the order in words, as after "Shall I".
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Plugin { name, order } => format!("{} plugin {name}", order.words()),
            Self::Canary { name, .. } => format!("try another build of plugin {name}"),
            Self::StartRun { workflow, .. } => format!("start workflow {workflow}"),
            Self::CancelRun { run, .. } => format!("cancel run {run}"),
            Self::RestartRun { run, .. } => format!("restart run {run} from its last step"),
            Self::DeleteRun { run, .. } => format!("delete run {run} for good"),
            Self::ResumeRun { run, step, .. } => format!("resume run {run} at {}", step.join(".")),
            Self::ExecuteTool { tool, .. } => format!("execute tool {tool}"),
            Self::CreateThread { title, .. } => format!("create thread {title}"),
            Self::RenameThread { title, .. } => format!("rename the thread to {title}"),
            Self::CloneThread { thread, .. } => format!("clone thread {thread}"),
            Self::DeleteThread { thread } => format!("delete thread {thread} and its messages for good"),
        }
    }

    /// Returns whether what it changes may change this answer.
    pub(crate) fn touches(&self, want: &Want) -> bool {
        match self {
            Self::Plugin { .. } | Self::Canary { .. } => matches!(want, Want::Plugins),
            Self::StartRun { .. }
            | Self::CancelRun { .. }
            | Self::RestartRun { .. }
            | Self::DeleteRun { .. }
            | Self::ResumeRun { .. } => matches!(want, Want::Runs { .. } | Want::Run { .. } | Want::RunCounts),
            Self::ExecuteTool { .. } => false,
            Self::CreateThread { .. }
            | Self::RenameThread { .. }
            | Self::CloneThread { .. }
            | Self::DeleteThread { .. } => matches!(want, Want::Threads { .. } | Want::Messages { .. }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_one_request() {
        let order = Order::Plugin { name: "a b".into(), order: PluginOrder::Reload };
        let request = order.request();
        assert_eq!((request.method, request.body), ("POST", None));
        assert_eq!(request.address.segments, ["plugins", "a b", "reload"]);
        assert_eq!((order.role(), order.words().as_str()), (Role::Admin, "reload plugin a b"));
    }
}
