use std::time::Duration;

use serde_json::{Value, json};

use super::bed::Bed;
use crate::{
    engine::workflow::{ResumeRequest, RunEnd, StartRequest},
    types::{run::RunInput, span::Span, trace::TraceOptions},
};

impl Bed {
    async fn run(&self, workflow: &str) -> (RunInput, String, RunEnd) {
        let request = StartRequest {
            workflow_id: workflow.to_owned(),
            input: Some(json!({"x": 1})),
            trace: TraceOptions { tags: vec!["probe".to_owned()], ..TraceOptions::default() },
            ..StartRequest::default()
        };
        let run = self.workflows.start(request).await.unwrap();
        let (input, run_id) = (run.input().clone(), run.run_id().to_owned());
        (input, run_id, run.end().await.unwrap())
    }
}

fn named<'a>(spans: &'a [std::sync::Arc<Span>], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("there is no {name}"))
}

#[tokio::test]
async fn steps_in_a_row_and_a_workflow_inside() {
    let bed = Bed::start().await;
    let (input, run_id, _) = bed.run("nested").await;
    let spans = bed
        .trace(
            &input.trace_id,
            &[
                "workflow run: 'nested' (workflow_run)",
                "  workflow step: 'one' (workflow_step)",
                "  workflow step: 'inner' (workflow_step)",
                "    workflow run: 'inner' (workflow_run)",
                "      workflow step: 'deep' (workflow_step)",
            ],
        )
        .await;
    let root = &spans[0];
    assert_eq!((&root.span_id, &root.parent_id), (&input.span_id, &None));
    assert_eq!(Value::from(root.metadata.clone()), json!({"runId": run_id}));
    assert_eq!(root.tags, ["probe"]);
    assert_eq!(Value::from(root.attributes.clone()), json!({"status": "success"}));
    assert_eq!((&root.input, &root.output), (&Some(json!({"x": 1})), &Some(json!("by deep"))));
    let entity = |name: &str| {
        let it = named(&spans, name).entity.clone().unwrap();
        (it.kind, it.id, it.name)
    };
    let of = |kind: &str, id: &str, name: &str| (kind.to_owned(), id.to_owned(), name.to_owned());
    assert_eq!(entity("workflow run: 'nested'"), of("workflow_run", "nested", "nested"));
    assert_eq!(entity("workflow step: 'one'"), of("workflow_step", "one", "nested"));
    assert_eq!(entity("workflow run: 'inner'"), of("workflow_run", "inner", "inner"));
    assert_eq!(entity("workflow step: 'deep'"), of("workflow_step", "deep", "inner"));
    let one = named(&spans, "workflow step: 'one'");
    assert_eq!((&one.input, &one.output), (&Some(json!({"x": 1})), &Some(json!("by one"))));
    assert_eq!(Value::from(one.attributes.clone()), json!({"status": "success"}));
    assert!(spans.iter().all(|span| span.run_id.as_ref() == Some(&run_id)));
}

#[tokio::test]
async fn steps_side_by_side() {
    let bed = Bed::start().await;
    let (input, ..) = bed.run("side").await;
    let tree = [
        "workflow run: 'side' (workflow_run)",
        "  workflow step: 'one' (workflow_step)",
        "  workflow step: 'two' (workflow_step)",
    ];
    bed.trace(&input.trace_id, &tree).await;
}

#[tokio::test]
async fn a_step_that_fails() {
    let bed = Bed::start().await;
    let (input, run_id, _) = bed.run("bad").await;
    let tree = [
        "workflow run: 'bad' (workflow_run) error",
        "  workflow step: 'one' (workflow_step)",
        "  workflow step: 'boom' (workflow_step) error",
    ];
    let spans = bed.trace(&input.trace_id, &tree).await;
    assert_eq!(spans[0].error, Some(json!({"message": "step exploded", "name": "Error"})));
    assert_eq!((&spans[0].attributes["status"], &spans[0].output), (&json!("failed"), &None));
    assert_eq!(
        named(&spans, "workflow step: 'boom'").error,
        Some(json!({"id": "WORKFLOW_STEP_INVOKE_FAILED",
            "details": {"workflowId": "bad", "runId": run_id, "stepId": "workflow.bad.step.boom"},
            "category": "USER", "domain": "MASTRA_WORKFLOW", "message": "step exploded", "name": "Error",
            "stack": "Error: step exploded"}))
    );
}

#[tokio::test]
async fn tools_and_agents_of_steps() {
    let bed = Bed::start().await;
    let (input, ..) = bed.run("uses").await;
    let tree = [
        "workflow run: 'uses' (workflow_run)",
        "  workflow step: 't' (workflow_step)",
        "  workflow step: 'mapping_uses_0' (workflow_step)",
        "  workflow step: 'a' (workflow_step)",
        "    agent run: 'plain' (agent_run)",
        "      llm: 'script' (model_generation)",
        "        step: 0 (model_step)",
        "          inference: 0 (model_inference)",
        "            chunk: 'text' (model_chunk)",
    ];
    bed.trace(&input.trace_id, &tree).await;
}

#[tokio::test]
async fn a_run_that_waits_has_one_root() {
    let bed = Bed::start().await;
    let (input, run_id, _) = bed.run("waits").await;
    let waits = [
        "workflow run: 'waits' (workflow_run)",
        "  workflow step: 'one' (workflow_step)",
        "  workflow step: 'ask' (workflow_step)",
    ];
    let spans = bed.trace(&input.trace_id, &waits).await;
    assert_eq!(spans[0].attributes["status"], "suspended");
    assert_eq!((&spans[0].output, &spans[0].error), (&None, &None));
    assert_eq!(named(&spans, "workflow step: 'ask'").attributes["status"], "suspended");
    let request = ResumeRequest {
        workflow_id: "waits".to_owned(),
        run_id,
        data: Some(json!("this")),
        ..ResumeRequest::default()
    };
    bed.workflows.resume(request).await.unwrap().end().await.unwrap();
    let rest = [
        "  workflow run: 'waits' (workflow_run)",
        "    workflow step: 'ask' (workflow_step)",
        "    workflow step: 'two' (workflow_step)",
    ];
    let spans = bed.trace(&input.trace_id, &[&waits[..], &rest[..]].concat()).await;
    let roots: Vec<_> = spans.iter().filter(|span| span.parent_id.is_none()).collect();
    assert_eq!(roots.len(), 1);
    assert_eq!((&roots[0].span_id, &roots[0].attributes["status"]), (&input.span_id, &json!("suspended")));
    let last = spans.iter().rfind(|span| span.name == "workflow run: 'waits'").unwrap();
    assert_eq!(last.attributes["status"], "success");
}

#[tokio::test]
async fn a_run_begins_its_root_again_until_a_drive_has_ended() {
    let bed = Bed::start().await;
    // As a host left it that died at once: begun, and driven by nobody.
    let run_id =
        bed.workflows.create(StartRequest { workflow_id: "waits".to_owned(), ..StartRequest::default() }).await;
    let run_id = run_id.unwrap();
    let before = bed.store.runs().get(&run_id).await.unwrap().unwrap();
    let mut input = before.input.clone();
    input.trace_id = "a".repeat(32);
    input.span_id = "b".repeat(16);
    let run = crate::store::runs::NewRun {
        run_id: &run_id,
        workflow_id: "waits",
        resource_id: None,
        graph_hash: &before.graph_hash,
        input: &input,
        status: crate::types::run::RunStatus::Running,
        state: None,
    };
    let now = crate::types::id::Millis::now().0;
    bed.store.runs().overwrite(&run, &before, crate::store::runs::Lease::NONE, now).await.unwrap();
    bed.workflows.take_up_abandoned().await.unwrap();
    let tree = [
        "workflow run: 'waits' (workflow_run)",
        "  workflow step: 'one' (workflow_step)",
        "  workflow step: 'ask' (workflow_step)",
    ];
    let spans = bed.trace(&input.trace_id, &tree).await;
    assert_eq!((&spans[0].span_id, &spans[0].parent_id), (&input.span_id, &None));
    let idle = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        loop {
            ticks.tick().await;
            let row = bed.store.runs().get(&run_id).await.unwrap().unwrap();
            if row.status == crate::types::run::RunStatus::Suspended {
                return row;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), idle).await.unwrap();
}
