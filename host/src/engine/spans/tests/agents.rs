use serde_json::{Value, json};

use super::bed::{Bed, Records};
use crate::{
    engine::{
        Decision,
        event::Unobserved,
        options::{RunOptions, RunRequest},
    },
    types::{
        message::{Message, Part, Role, ToolPart, ToolState},
        span::Span,
        trace::TraceOptions,
    },
};

fn named<'a>(spans: &'a [std::sync::Arc<Span>], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("there is no {name}"))
}

fn attributes(span: &Span) -> Value {
    span.attributes.clone().into()
}

const PLAIN: [&str; 5] = [
    "agent run: 'plain' (agent_run)",
    "  llm: 'script' (model_generation)",
    "    step: 0 (model_step)",
    "      inference: 0 (model_inference)",
    "        chunk: 'text' (model_chunk)",
];

#[tokio::test]
async fn a_plain_answer() {
    let bed = Bed::start().await;
    let options = RunOptions {
        request_context: json!({"tier": "gold"}).as_object().unwrap().clone(),
        trace: TraceOptions {
            metadata: json!({"a": 1}).as_object().unwrap().clone(),
            tags: vec!["probe".to_owned()],
            ..TraceOptions::default()
        },
        ..RunOptions::default()
    };
    let turn = bed.ask("plain", "hello", options).await;
    let spans = bed.trace(&turn.trace_id, &PLAIN).await;
    let text = "[scripted model] You said: hello";

    let root = named(&spans, PLAIN[0].split(" (").next().unwrap());
    assert_eq!((&root.span_id, &root.parent_id), (&turn.span_id, &None));
    assert_eq!(
        root.entity.as_ref().map(|it| (it.kind.as_str(), it.id.as_str(), it.name.as_str())),
        Some(("agent", "plain", "The plain"))
    );
    assert_eq!(root.metadata, *json!({"runId": turn.run_id, "a": 1}).as_object().unwrap());
    assert_eq!(root.tags, ["probe"]);
    assert_eq!(attributes(root), json!({"instructions": "Be plain.", "availableTools": []}));
    assert_eq!(root.input, Some(json!("hello")));
    assert_eq!(root.output, Some(json!({"text": text, "files": []})));
    let context = json!({"tier": "gold", "mastra__versions": {"defaultStatus": "published"}});
    assert_eq!(root.request_context, Some(context.clone()));

    let usage = turn.usage;
    let (input, output) = (usage.input_tokens.unwrap(), usage.output_tokens.unwrap());
    let usage = json!({"inputTokens": input, "outputTokens": output,
        "inputDetails": {"text": input}, "outputDetails": {"text": output}});
    let generation = named(&spans, "llm: 'script'");
    let began = generation.attributes["completionStartTime"].clone();
    assert!(began.as_str().is_some_and(|time| time.ends_with('Z')), "{began}");
    assert_eq!(
        attributes(generation),
        json!({"model": "script", "provider": "mock", "streaming": true, "parameters": {}, "tools": [],
            "finishReason": "stop", "responseId": turn.steps[0].response.id, "responseModel": "script",
            "completionStartTime": began, "usage": usage})
    );
    let created = turn.input[0].created_at.0;
    let said = json!({"type": "text", "text": "hello", "providerOptions": {"mastra": {"createdAt": created}}});
    let prompt = json!({"messages": [{"role": "system", "content": "Be plain."}, {"role": "user", "content": [said]}]});
    assert_eq!(generation.input, Some(prompt));
    let answer = json!({"files": [], "reasoning": [], "sources": [], "text": text, "warnings": [], "toolCalls": []});
    assert_eq!(generation.output, Some(answer));
    assert_eq!(generation.request_context, Some(context));

    let step = named(&spans, "step: 0");
    let about = json!({"modelId": "script", "modelVersion": "v2", "modelProvider": "mock"});
    assert_eq!(Value::from(step.metadata.clone()), json!({"runId": turn.run_id, "modelMetadata": about}));
    assert_eq!(
        attributes(step),
        json!({"stepIndex": 0, "messageId": turn.message_id, "usage": usage, "isContinued": false,
            "finishReason": "stop", "warnings": []})
    );
    assert_eq!(
        step.input,
        Some(json!([{"role": "system", "content": "Be plain."}, {"role": "user", "content": "hello"}]))
    );
    assert_eq!(step.output, Some(json!({"text": text, "toolCalls": []})));
    let inference = named(&spans, "inference: 0");
    assert_eq!(
        attributes(inference),
        json!({"stepIndex": 0, "model": "script", "provider": "mock", "streaming": true,
            "parameters": {"maxRetries": 0}, "availableTools": [], "toolChoice": "auto", "usage": usage,
            "finishReason": "stop", "warnings": [], "completionStartTime": began, "responseModel": "script"})
    );
    assert_eq!((&inference.input, &inference.output), (&None, &step.output));
    let chunk = named(&spans, "chunk: 'text'");
    assert_eq!(attributes(chunk), json!({"chunkType": "text", "sequenceNumber": 0}));
    assert_eq!(chunk.output, Some(json!({"text": text})));
    assert!(spans.iter().all(|span| span.run_id.as_ref() == Some(&turn.run_id)));
}

#[tokio::test]
async fn tools_that_answer_and_fail() {
    let bed = Bed::start().await;
    let turn = bed.ask("worker", "call weather {\"at\": \"sea\"}\ncall failing {}", RunOptions::default()).await;
    let spans = bed
        .trace(
            &turn.trace_id,
            &[
                "agent run: 'worker' (agent_run)",
                "  llm: 'script' (model_generation)",
                "    step: 0 (model_step)",
                "      inference: 0 (model_inference)",
                "        chunk: 'tool-call' (model_chunk)",
                "        chunk: 'tool-call' (model_chunk)",
                "        chunk: 'tool-result' (model_chunk)",
                "        chunk: 'tool-error' (model_chunk)",
                "      tool: 'weather' (tool_call)",
                "      tool: 'failing' (tool_call) error",
                "    step: 1 (model_step)",
                "      inference: 1 (model_inference)",
                "        chunk: 'text' (model_chunk)",
            ],
        )
        .await;
    let calls = &turn.steps[0].calls;
    let weather = named(&spans, "tool: 'weather'");
    assert_eq!(
        attributes(weather),
        json!({"toolDescription": "What weather does", "toolType": "tool", "toolCallId": calls[0].id, "success": true})
    );
    assert_eq!(weather.entity.as_ref().map(|it| (it.kind.as_str(), it.id.as_str())), Some(("tool", "weather")));
    assert_eq!((&weather.input, &weather.output), (&Some(json!({"at": "sea"})), &Some(json!({"sky": "blue"}))));
    assert_eq!(weather.plugin.as_deref(), Some("fake"));
    let failing = named(&spans, "tool: 'failing'");
    assert_eq!(failing.attributes["success"], false);
    assert_eq!(failing.error, Some(json!({"message": "it rains", "name": "Error"})));
    let result = named(&spans, "chunk: 'tool-result'");
    assert!(result.is_event && result.ended_at.is_none());
    assert_eq!(
        Value::from(result.metadata.clone()),
        json!({"runId": turn.run_id, "toolCallId": calls[0].id, "toolName": "weather"})
    );
    assert_eq!(attributes(result), json!({"chunkType": "tool-result", "sequenceNumber": 2}));
    let root = named(&spans, "agent run: 'worker'");
    assert!(root.has_child_error && root.error.is_none());
    let step = named(&spans, "step: 1");
    let input = step.input.as_ref().unwrap().as_array().unwrap();
    assert_eq!(input[2], json!({"role": "assistant", "content": "[tool: weather]\n[tool: failing]"}));
    assert_eq!(input[3], json!({"role": "tool", "content": "[tool-result: weather]\n[tool-result: failing]"}));
}

const REMEMBERS: [&str; 8] = [
    "agent run: 'keeper' (agent_run)",
    "  input processor: memory-input-filter (processor_run)",
    "  memory: recall (memory_operation)",
    "  llm: 'script' (model_generation)",
    "    step: 0 (model_step)",
    "      inference: 0 (model_inference)",
    "        chunk: 'text' (model_chunk)",
    "  memory: save (memory_operation)",
];

#[tokio::test]
async fn an_agent_that_remembers() {
    let bed = Bed::start().await;
    let turn = bed.ask("keeper", "hello", RunOptions::default()).await;
    bed.trace(&turn.trace_id, &REMEMBERS).await;
    let options = || RunOptions {
        thread_id: Some("t".to_owned()),
        resource_id: Some("somebody".to_owned()),
        ..RunOptions::default()
    };
    bed.ask("keeper", "hello", options()).await;
    let turn = bed.ask("keeper", "again", options()).await;
    let spans = bed.trace(&turn.trace_id, &REMEMBERS).await;
    let recall = named(&spans, "memory: recall");
    assert_eq!(
        attributes(recall),
        json!({"operationType": "recall", "processorPhase": "input", "processorExecutor": "workflow", "processorIndex": 1})
    );
    let input = recall.input.as_ref().unwrap();
    assert_eq!(input["messages"][0]["content"]["content"], "again");
    assert_eq!(input["systemMessages"], json!([{"role": "system", "content": "Remember."}]));
    assert_eq!(recall.output.as_ref().unwrap()["messages"].as_array().map(Vec::len), Some(2));
    let save = named(&spans, "memory: save");
    assert_eq!(save.input.as_ref().unwrap()["result"]["finishReason"], "stop");
    assert_eq!(save.output.as_ref().unwrap()["messages"].as_array().map(Vec::len), Some(2));
    let root = named(&spans, "agent run: 'keeper'");
    let ids = json!({"runId": turn.run_id, "resourceId": "somebody", "threadId": "t"});
    assert_eq!(Value::from(root.metadata.clone()), ids);
    assert_eq!(root.attributes["conversationId"], "t");
    assert!(spans.iter().all(|span| span.thread_id.as_deref() == Some("t")));

    // Somebody else's thread is refused before the model is asked.
    let stranger = RunOptions { resource_id: Some("stranger".to_owned()), ..options() };
    let request = RunRequest {
        agent_id: "keeper".to_owned(),
        options: RunOptions {
            trace: TraceOptions { trace_id: Some("e".repeat(32)), ..TraceOptions::default() },
            ..stranger
        },
        ..Default::default()
    };
    assert!(bed.engine.prepare(request).await.is_err());
    let refused = [
        "agent run: 'keeper' (agent_run) error",
        "  input processor: memory-input-filter (processor_run)",
        "  memory: recall (memory_operation) error",
    ];
    bed.trace(&"e".repeat(32), &refused).await;
}

#[tokio::test]
async fn a_run_that_waits_goes_on_in_its_trace() {
    let bed = Bed::start().await;
    let turn = bed.ask("worker", "call pausing {}", RunOptions::default()).await;
    assert!(turn.suspension.is_some());
    let waits = [
        "agent run: 'worker' (agent_run)",
        "  llm: 'script' (model_generation)",
        "    step: 0 (model_step)",
        "      inference: 0 (model_inference)",
        "        chunk: 'tool-call' (model_chunk)",
        "      tool: 'pausing' (tool_call)",
    ];
    let spans = bed.trace(&turn.trace_id, &waits).await;
    assert_eq!(spans[0].attributes["status"], "suspended");
    let mut run = bed.engine.resume("worker", &turn.run_id, None, Decision::Resume(json!("this"))).await.unwrap();
    run.drive(&mut Unobserved).await.unwrap();
    assert_eq!((&run.turn.trace_id, &run.turn.span_id), (&turn.trace_id, &turn.span_id));
    let rest = [
        "  agent run: 'worker' (agent_run)",
        "    tool: 'pausing' (tool_call)",
        "    llm: 'script' (model_generation)",
        "      step: 1 (model_step)",
        "        inference: 1 (model_inference)",
        "          chunk: 'text' (model_chunk)",
    ];
    let spans = bed.trace(&turn.trace_id, &[&waits[..], &rest[..]].concat()).await;
    assert_eq!(spans.iter().filter(|span| span.parent_id.is_none()).count(), 1);
}

#[tokio::test]
async fn a_model_that_fails() {
    let bed = Bed::start().await;
    let turn = bed.ask("broken", "hello", RunOptions::default()).await;
    let spans = bed
        .trace(
            &turn.trace_id,
            &[
                "agent run: 'broken' (agent_run) error",
                "  llm: 'none' (model_generation) error",
                "    step: 0 (model_step) error",
                "      inference: 0 (model_inference) error",
            ],
        )
        .await;
    let message = spans[0].error.as_ref().unwrap()["message"].as_str().unwrap();
    assert!(message.contains("mock/none"), "{message}");
    assert_eq!(named(&spans, "step: 0").attributes["finishReason"], "error");
}

#[tokio::test]
async fn a_run_that_is_given_up() {
    let bed = Bed::start().await;
    let input = vec![Message::of_text(Role::User, "hello")];
    let request = RunRequest { agent_id: "plain".to_owned(), input, ..RunRequest::default() };
    let run = bed.engine.prepare(request).await.unwrap();
    let trace_id = run.turn.trace_id.clone();
    drop(run);
    let spans = bed.trace(&trace_id, &["agent run: 'plain' (agent_run) error"]).await;
    assert_eq!(spans[0].error.as_ref().unwrap()["name"], "Cancelled");
}

#[tokio::test]
async fn a_run_that_takes_too_long() {
    let bed = Bed::start().await;
    let script = json!({"script": [{"text": "slow", "delayMs": 60_000}]});
    let options = RunOptions {
        provider_options: json!({"mock": script}).as_object().unwrap().clone(),
        deadline: Some(std::time::Duration::from_millis(20)),
        ..RunOptions::default()
    };
    let turn = bed.ask("plain", "hello", options).await;
    let broken = [
        "agent run: 'plain' (agent_run) error",
        "  llm: 'script' (model_generation) error",
        "    step: 0 (model_step) error",
        "      inference: 0 (model_inference) error",
    ];
    bed.trace(&turn.trace_id, &broken).await;
}

const BOSS: [&str; 21] = [
    "agent run: 'boss' (agent_run)",
    "  llm: 'script' (model_generation)",
    "    step: 0 (model_step)",
    "      inference: 0 (model_inference)",
    "        chunk: 'tool-call' (model_chunk)",
    "        chunk: 'tool-call' (model_chunk)",
    "        chunk: 'tool-result' (model_chunk)",
    "        chunk: 'tool-result' (model_chunk)",
    "      tool: 'agent-plain' (tool_call)",
    "        agent run: 'plain' (agent_run)",
    "          llm: 'script' (model_generation)",
    "            step: 0 (model_step)",
    "              inference: 0 (model_inference)",
    "                chunk: 'text' (model_chunk)",
    "      tool: 'workflow-line' (tool_call)",
    "        workflow run: 'line' (workflow_run)",
    "          workflow step: 'one' (workflow_step)",
    "          workflow step: 'two' (workflow_step)",
    "    step: 1 (model_step)",
    "      inference: 1 (model_inference)",
    "        chunk: 'text' (model_chunk)",
];

#[tokio::test]
async fn agents_and_workflows_that_agents_ask() {
    let bed = Bed::start().await;
    let said = "call agent-plain {\"prompt\": \"hi\"}\ncall workflow-line {\"inputData\": 1}";
    let turn = bed.ask("boss", said, RunOptions::default()).await;
    bed.trace(&turn.trace_id, &BOSS).await;
}

const ASKED: [&str; 8] = [
    "tool: 'asking' (tool_call)",
    "  tool: 'weather' (tool_call)",
    "  llm: 'echo' (model_generation)",
    "  agent run: 'plain' (agent_run)",
    "    llm: 'script' (model_generation)",
    "      step: 0 (model_step)",
    "        inference: 0 (model_inference)",
    "          chunk: 'text' (model_chunk)",
];

#[tokio::test]
async fn what_a_tool_asks_for_is_below_its_call() {
    let bed = Bed::start().await;
    let trace = TraceOptions::caused_by(&"c".repeat(32), &"d".repeat(16));
    let run_id = Some("r1".to_owned());
    bed.engine.execute_tool("asking", &json!({"x": 1}), serde_json::Map::new(), run_id, &trace).await.unwrap();
    let spans = bed.trace(&"c".repeat(32), &ASKED).await;
    let root = named(&spans, "tool: 'asking'");
    assert_eq!(root.parent_id, Some("d".repeat(16)));
    assert_eq!((root.run_id.as_deref(), &root.input), (Some("r1"), &Some(json!({"x": 1}))));
    assert_eq!(named(&spans, "tool: 'weather'").input, Some(json!({"at": "sea"})));
    let model = named(&spans, "llm: 'echo'");
    assert_eq!((&model.attributes["model"], &model.attributes["finishReason"]), (&json!("echo"), &json!("stop")));
    assert!(model.attributes["usage"]["inputTokens"].is_u64());
    assert!(model.output.as_ref().unwrap()["text"].as_str().unwrap().starts_with("[scripted model]"));
}

#[tokio::test]
async fn a_callers_trace_is_gone_on_with() {
    let bed = Bed::start().await;
    let (trace_id, parent) = ("a".repeat(32), "b".repeat(16));
    let options = || RunOptions { trace: TraceOptions::caused_by(&trace_id, &parent), ..RunOptions::default() };
    let turn = bed.ask("plain", "hello", options()).await;
    assert_eq!(turn.trace_id, trace_id);
    let spans = bed.trace(&trace_id, &PLAIN).await;
    assert_eq!(named(&spans, "agent run: 'plain'").parent_id, Some(parent.clone()));
}

#[tokio::test]
async fn runs_of_one_trace_do_not_take_each_others_calls_for_their_own() {
    let bed = Bed::start().await;
    let call = json!({"toolCallId": "c1", "toolName": "workflow-line", "input": {"inputData": 1}});
    let script = json!({"script": [{"toolCalls": [call]}, {"text": "done"}]});
    let options = || RunOptions {
        provider_options: json!({"mock": script}).as_object().unwrap().clone(),
        trace: TraceOptions::caused_by(&"a".repeat(32), &"b".repeat(16)),
        ..RunOptions::default()
    };
    let run_of = async || {
        let turn = bed.ask("boss", "go", options()).await;
        let result = turn.response[0].parts.iter().find_map(|part| match part {
            Part::Tool(ToolPart { state: ToolState::Answered(result), .. }) => Some(result["runId"].clone()),
            _ => None,
        });
        result.unwrap()
    };
    assert_ne!(run_of().await, run_of().await);
}

#[tokio::test]
async fn without_content_there_are_only_names_and_numbers() {
    let bed = Bed::recording(Records::NoContent).await;
    let options =
        RunOptions { request_context: json!({"tier": "gold-7"}).as_object().unwrap().clone(), ..RunOptions::default() };
    let turn = bed.ask("worker", "call weather {\"at\": \"sea-7\"}", options).await;
    let spans = bed
        .trace(
            &turn.trace_id,
            &[
                "agent run: 'worker' (agent_run)",
                "  llm: 'script' (model_generation)",
                "    step: 0 (model_step)",
                "      inference: 0 (model_inference)",
                "        chunk: 'tool-call' (model_chunk)",
                "        chunk: 'tool-result' (model_chunk)",
                "      tool: 'weather' (tool_call)",
                "    step: 1 (model_step)",
                "      inference: 1 (model_inference)",
                "        chunk: 'text' (model_chunk)",
            ],
        )
        .await;
    let text = serde_json::to_string(&spans).unwrap();
    for content in ["sea-7", "gold-7", "blue", "Use tools.", "scripted model"] {
        assert!(!text.contains(content), "{content} is in {text}");
    }
    assert!(spans.iter().all(|span| span.input.is_none() && span.output.is_none()));
    assert!(named(&spans, "llm: 'script'").attributes["usage"]["inputTokens"].is_u64());

    let bed = Bed::start().await;
    let hidden = TraceOptions { hide_input: true, hide_output: true, ..TraceOptions::default() };
    let turn = bed.ask("plain", "hello", RunOptions { trace: hidden, ..RunOptions::default() }).await;
    let spans = bed.trace(&turn.trace_id, &PLAIN).await;
    assert!(spans.iter().all(|span| span.input.is_none() && span.output.is_none()));
}

#[tokio::test]
async fn what_is_hidden_is_hidden_in_all_a_run_causes() {
    let bed = Bed::start().await;
    let said = "call agent-plain {\"prompt\": \"hi\"}\ncall workflow-line {\"inputData\": 1}";
    let trace = TraceOptions { hide_input: true, ..TraceOptions::default() };
    let turn = bed.ask("boss", said, RunOptions { trace, ..RunOptions::default() }).await;
    let spans = bed.trace(&turn.trace_id, &BOSS).await;
    assert!(spans.iter().all(|span| span.input.is_none()));
    for name in ["agent run: 'plain'", "workflow run: 'line'", "workflow step: 'two'", "tool: 'agent-plain'"] {
        assert!(named(&spans, name).output.is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_host_that_does_not_record_still_names_traces() {
    let bed = Bed::recording(Records::Nothing).await;
    let turn = bed.ask("worker", "call weather {}", RunOptions::default()).await;
    assert_eq!((turn.trace_id.len(), turn.span_id.len()), (32, 16));
    assert!(bed.all().await.is_empty());
}
