//! What clients are offered, and what comes of calling it.

use serde_json::{Value, json};

use super::{ALL, REFERENCE, Session, ask, call, host, listen, send, until};

fn names(tools: &Value) -> Vec<&str> {
    tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn one_server_offers_everything_by_where_it_comes_from() {
    let host = host().await;
    let (status, listed) = host.get_json(&format!("/api/mcp/servers/{ALL}/tools")).await.unwrap();
    assert_eq!(status, 200);
    let names = names(&listed["tools"]);
    for name in [
        "hotbay-test-reference_weather",
        "ask_hotbay-test-reference_echo-agent",
        "run_hotbay-test-reference_linear-workflow",
        "hotbay-test-conformance_test_simple_text",
    ] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    let prompts = ask(&host, ALL, "prompts/list", json!({})).await;
    assert_eq!(prompts["result"]["prompts"][0]["name"], "conformance_test_simple_prompt");
    let prompt = ask(&host, ALL, "prompts/get", json!({"name": "conformance_test_simple_prompt"})).await;
    let text = &prompt["result"]["messages"][0]["content"]["text"];
    assert_eq!(text, "This is a simple prompt for testing.", "{prompt}");
}

#[tokio::test]
async fn agents_and_workflows_answer_like_tools() {
    let host = host().await;
    let asked = call(&host, "ref-mcp", "ask_echoAgent", json!({"message": "hi"})).await;
    let said: Value = serde_json::from_str(asked["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!((&said["text"], &said["finishReason"]), (&json!("Echo: hi"), &json!("stop")));
    let run = call(&host, "ref-mcp", "run_linear", json!({"message": "hi"})).await;
    let said: Value = serde_json::from_str(run["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!((&said["status"], &said["result"]), (&json!("success"), &json!({"message": "HI!"})));
    let failed = call(&host, ALL, &format!("run_{REFERENCE}_failing-workflow"), json!({"message": "hi"})).await;
    assert_eq!(failed["isError"], true, "{failed}");
}

#[tokio::test]
async fn what_takes_no_object_is_given_it_in_one() {
    let host = host().await;
    let (_, listed) = host.get_json(&format!("/api/mcp/servers/{ALL}/tools")).await.unwrap();
    // Clients take a list with any other for broken, all of it.
    for tool in listed["tools"].as_array().unwrap() {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        let output = tool.get("outputSchema").map_or("object", |schema| schema["type"].as_str().unwrap_or_default());
        assert_eq!(output, "object", "{tool}");
    }
    let name = format!("run_{REFERENCE}_foreach-workflow");
    let list = json!({"input": [{"value": 1}, {"value": 2}]});
    let run = call(&host, ALL, &name, list.clone()).await;
    let said: Value = serde_json::from_str(run["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!((&said["status"], said["result"].as_array().map(Vec::len)), (&json!("success"), Some(2)), "{said}");
    for data in [&list, &list["input"]] {
        let path = format!("/api/mcp/{ALL}/tools/{name}/execute");
        let (status, answer) = host.post_json(&path, &json!({ "data": data })).await.unwrap();
        assert_eq!((status, &answer["result"]["output"]["status"]), (200, &json!("success")), "{answer}");
    }
    let misfit = call(&host, ALL, &name, json!({"input": 1})).await;
    assert_eq!(misfit["isError"], true, "{misfit}");
}

#[tokio::test]
async fn a_tool_that_waits_asks_the_user_and_goes_on() {
    let host = host().await;
    let name = format!("{REFERENCE}_suspend-tool");
    let first = call(&host, ALL, &name, json!({"question": "Why?"})).await;
    assert_eq!(first["resultType"], "input_required", "{first}");
    let request = &first["inputRequests"]["answer"];
    assert_eq!((&request["method"], &request["params"]["message"]), (&json!("elicitation/create"), &json!("Why?")));
    let answer = json!({"answer": {"action": "accept", "content": {"answer": "Because"}}});
    let rest = |state: &Value, name: &str, responses: &Value| json!({"name": name, "arguments": {"question": "Why?"}, "requestState": state, "inputResponses": responses});
    let done = ask(&host, ALL, "tools/call", rest(&first["requestState"], &name, &answer)).await;
    assert_eq!(done["result"]["structuredContent"], json!({"answer": "Because"}), "{done}");
    // What was signed for one tool is of no use to another.
    let other = format!("{REFERENCE}_weather");
    let refused = ask(&host, ALL, "tools/call", rest(&first["requestState"], &other, &answer)).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let declined = json!({"answer": {"action": "decline"}});
    let declined = ask(&host, ALL, "tools/call", rest(&first["requestState"], &name, &declined)).await;
    assert_eq!(declined["result"]["isError"], true, "{declined}");
}

#[tokio::test]
async fn a_tool_that_waits_asks_a_session_while_its_request_is_open() {
    let host = host().await;
    let session = Session::open(&host, ALL).await;
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": format!("{REFERENCE}_suspend-tool"), "arguments": {"question": "Why?"}}});
    let mut answer = listen(&host, session.post(&call)).await;
    let asked = until(&mut answer, |message| message["method"] == "elicitation/create").await;
    let content = json!({"action": "accept", "content": {"answer": "Because"}});
    let told = json!({"jsonrpc": "2.0", "id": asked["id"], "result": content});
    assert_eq!(send(&host, session.post(&told)).await.0, 202);
    let done = until(&mut answer, |message| message["id"] == 2).await;
    assert_eq!(done["result"]["structuredContent"], json!({"answer": "Because"}), "{done}");
}

#[tokio::test]
async fn a_waiting_workflow_is_answered_after_the_host_was_restarted() {
    let mut host = host().await;
    let name = format!("run_{REFERENCE}_suspend-workflow");
    let first = call(&host, ALL, &name, json!({"message": "hi"})).await;
    assert_eq!(first["resultType"], "input_required", "{first}");
    host.restart().await.unwrap();
    let (request, state) = (&first["inputRequests"]["answer"]["params"]["requestedSchema"], &first["requestState"]);
    assert!(request["properties"].is_object(), "{first}");
    let content = json!({"approved": true});
    let responses = json!({"answer": {"action": "accept", "content": content}});
    let rest =
        json!({"name": name, "arguments": {"message": "hi"}, "requestState": state, "inputResponses": responses});
    let done = ask(&host, ALL, "tools/call", rest).await;
    assert_eq!(done["result"]["isError"], false, "{done}");
}
