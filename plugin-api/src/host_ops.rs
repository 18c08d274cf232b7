//! What crosses the boundary by name: the documents of every operation.
//!
//! This page is the contract between the SDK and a host; authors use [`crate::Ctx`]
//! instead. Bodies and answers are JSON. An op a host does not know is `E_UNSUPPORTED`,
//! a thing that does not exist is `E_NOT_FOUND`. Keys marked `?` may be absent; unknown
//! keys are ignored.
//!
//! # Requests of a plugin (`HostApi::request`)
//!
//! | op | body | answer |
//! |---|---|---|
//! | `tool.call` | `{id, input}` | the tool's result; a tool that suspends there fails |
//! | `model.chat` | [`crate::chat::ChatRequest`] | `null`; each [`crate::chat::StreamPart`] goes to the sink as one chunk |
//! | `agent.generate` | `{id, messages: [Message], options?: {}}` | [`crate::AgentAnswer`] |
//! | `memory.recall` | `{threadId, last?}` | `[`[`crate::MemoryMessage`]`]`, the last ones, oldest first |
//! | `kv.get` | `{key}` | the value, or `null` |
//! | `kv.set` | `{key, value}` | `null` |
//! | `kv.delete` | `{key}` | `null` |
//! | `kv.list` | `{prefix}` | `[key]`, sorted |
//! | `data.directory` | `{}` | the absolute path of a directory of the plugin's own, which is there |
//! | `secret.get` | `{name}` | the secret, a string |
//! | `http.request` | [`crate::http::HttpRequest`] | [`crate::http::HttpResponse`]; any status is an answer |
//! | `workflow.input` | `{}` | the input of the call's workflow run |
//! | `workflow.step_result` | `{step}` | the result of an earlier step, or `null` |
//! | `workflow.state` | `{}` | the state of the run |
//! | `workflow.set_state` | `{state}` | `null`; stored together with the step's result |
//!
//! Keys and values belong to the plugin by its name and outlive its generations. The
//! `workflow` ops are answered only within the call of a workflow's node.
//!
//! Within a step of a workflow the host stores its answers to `tool.call`, `agent.generate`,
//! `http.request` and `model.chat` before it gives them; the parts of a model's answer are seen
//! as they come, its end once all of them are stored. When the same attempt of the step is run
//! again, after a crash or because the run was resumed, the same request gets the stored answer
//! and nothing is done twice. What a step does by itself is done again: use
//! [`crate::Ctx::idempotency_key`].
//!
//! # A workflow's node (`Workflow::call`)
//!
//! `node` is the id of a step, a condition, a mapping or a computed wait, the input the value
//! that reaches it. [`crate::manifest::CallMeta`] says which run and attempt it is, and what a
//! suspended node is resumed with. [`mod@crate::workflow`] lists the graph's keys, how a node
//! may end (kinds of reply, keys of an error's detail) and what becomes of the chunks it sends.
//!
//! # An agent that runs itself (`Agent::run`)
//!
//! Input [`crate::AgentRun`], reply [`crate::AgentAnswer`]; what it streams are
//! [`crate::chat::StreamPart`]s.
//!
//! # Vector stores (`VectorStore::call`)
//!
//! | op | body | rows in | answer | rows out |
//! |---|---|---|---|---|
//! | `create_index` | `{name, dimension, metric?}` | | `null` | |
//! | `list_indexes` | `{}` | | `[name]` | |
//! | `describe_index` | `{name}` | | `{dimension, count, metric}` | |
//! | `delete_index` | `{name}` | | `null` | |
//! | `upsert` | `{index, count, ids?: [string or null], metadata?: [{} or null]}` | `count` | `[id]` | |
//! | `query` | `{index, topK, filter?, includeVector?}` | 1 | `[{id, score, metadata?}]` | one a hit if `includeVector` |
//! | `update` | `{index, ids or filter, metadata?}` | 1, or none | how many | |
//! | `delete` | `{index, ids or filter}` | | how many | |
//!
//! `metric` is `cosine`, `euclidean` or `dotproduct`; `filter` is described in
//! [`mod@crate::vector_store::filter`]. An index that is not there is `E_NOT_FOUND`, except that deleting it is
//! no mistake; a vector of another length, and a filter that is none, are `E_INPUT`.
//!
//! # Memory processors (a service of kind `memory-processor`)
//!
//! | op | body | answer |
//! |---|---|---|
//! | `process` | [`crate::processor::Remembered`] | [`crate::processor::Processed`] |
//!
//! A message that comes back under an id it was sent with is that message, in the content it
//! has then; one under another id, or none, was never said and is shown to the model alone.
//!
//! # MCP servers (a service of kind `mcp-server`, named as the server)
//!
//! | op | body | answer |
//! |---|---|---|
//! | `resources/read` | `{uri}` | MCP's result; `E_NOT_FOUND` if there is no such resource |
//! | `prompts/get` | `{name, arguments?}` | MCP's result; `E_NOT_FOUND` if there is no such prompt |
//! | `completion/complete` | `{ref, argument: {name, value}, context?: {arguments}}` | MCP's result |
//!
//! They and tools may suspend with [`crate::mcp::Ask`] and are resumed with [`crate::mcp::Answers`].
//! Chunks of the shape [`crate::mcp::Notice`] go to the client. A tool whose output schema has the
//! keyword `x-mcp-result` answers with [`crate::mcp::Content`].
