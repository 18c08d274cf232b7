//! Working memory: written by the model, read and written by clients.

use serde_json::{Value, json};

use super::{get, host, post};

/// Has a model call a tool and then say something.
fn script(memory: &Value, options: Value) -> Value {
    let call = json!({"toolCallId": "c1", "toolName": "updateWorkingMemory", "input": {"memory": memory}});
    json!({"messages": "remember", "memory": {"thread": "t", "resource": "u", "options": options},
        "providerOptions": {"mock": {"script": [{"toolCalls": [call]}, {"text": "done"}]}}})
}

#[tokio::test]
async fn the_model_notes_what_it_learns_about_a_person() {
    let host = host().await;
    let path = "/api/memory/threads/t/working-memory?agentId=notes";
    let answer = post(&host, "/api/agents/notes/generate", &script(&json!("# Notes\n- Name: Ada"), json!({}))).await;
    assert_eq!(answer["toolResults"][0]["payload"]["result"], json!({"success": true}));
    let read = get(&host, &format!("{path}&resourceId=u")).await;
    assert_eq!(read["workingMemory"], "# Notes\n- Name: Ada");
    assert_eq!((&read["source"], &read["threadExists"]), (&json!("resource"), &json!(true)));
    assert_eq!(read["workingMemoryTemplate"], json!({"format": "markdown", "content": "# Notes\n- Name:"}));

    // It is the person's, so another of their conversations has it, in the system text.
    let options = json!({"workingMemory": {"enabled": true, "template": "# Notes\n- Name:"}});
    let body = json!({"messages": "who am I?", "memory": {"thread": "other", "resource": "u", "options": options}});
    let answer = post(&host, "/api/agents/witness/generate", &body).await;
    let told = super::told(&answer);
    assert!(told["messages"][1]["content"].as_str().unwrap().contains("- Name: Ada"), "{told}");
    assert_eq!(told["tools"], json!(["updateWorkingMemory"]));

    post(&host, path, &json!({"workingMemory": "# Notes\n- Name: Eve", "resourceId": "u"})).await;
    assert_eq!(get(&host, path).await["workingMemory"], "# Notes\n- Name: Eve");
    let body = json!({"workingMemory": "x", "resourceId": "somebody"});
    assert_eq!(host.post_json(path, &body).await.unwrap().0, 403);
}

#[tokio::test]
async fn notes_are_not_lost_to_an_empty_template() {
    let host = host().await;
    let ask = async |memory: &str| post(&host, "/api/agents/notes/generate", &script(&json!(memory), json!({}))).await;
    ask("# Notes\n- Name: Ada").await;
    ask("# Notes\n- Name:").await;
    let read = get(&host, "/api/memory/threads/t/working-memory?agentId=notes").await;
    assert_eq!(read["workingMemory"], "# Notes\n- Name: Ada");
}

#[tokio::test]
async fn a_document_is_noted_field_by_field_with_its_thread() {
    let host = host().await;
    let path = "/api/memory/threads/t/working-memory?agentId=profile&resourceId=u";
    for memory in [json!({"name": "Ada"}), json!({"tags": ["maths"]}), json!({"name": 5})] {
        post(&host, "/api/agents/profile/generate", &script(&memory, json!({}))).await;
    }
    let read = get(&host, path).await;
    let memory: Value = serde_json::from_str(read["workingMemory"].as_str().unwrap()).unwrap();
    assert_eq!(memory, json!({"name": "Ada", "tags": ["maths"]}));
    assert_eq!(read["source"], "thread");
    assert_eq!(read["workingMemoryTemplate"]["content"], r#"{"name":"","tags":[]}"#);
    let (status, _) = host
        .post_json("/api/memory/threads/t/working-memory?agentId=profile", &json!({"workingMemory": "no JSON"}))
        .await
        .unwrap();
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_read_only_run_sees_notes_and_cannot_change_them() {
    let host = host().await;
    post(&host, "/api/agents/notes/generate", &script(&json!("# Notes\n- Name: Ada"), json!({}))).await;
    let options = json!({"workingMemory": {"enabled": true, "template": "# Notes"}, "readOnly": true});
    let body = json!({"messages": "x", "memory": {"thread": "t", "resource": "u", "options": options}});
    let told = super::told(&post(&host, "/api/agents/witness/generate", &body).await);
    assert_eq!(told["tools"], json!([]));
    assert!(told["messages"][1]["content"].as_str().unwrap().contains("- Name: Ada"), "{told}");
    let changed = script(&json!("# Notes\n- Name: Eve"), json!({"readOnly": true}));
    post(&host, "/api/agents/notes/generate", &changed).await;
    let read = get(&host, "/api/memory/threads/t/working-memory?agentId=notes").await;
    assert_eq!(read["workingMemory"], "# Notes\n- Name: Ada");
}
