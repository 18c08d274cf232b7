//! The group: its tools, resources and prompts.

use hotbay_plugin::{
    error::code,
    mcp::{Answers, Ask, McpRequest, Prompt, Resource, ResourceTemplate},
    prelude::*,
};

use crate::{asking, content};

pub(crate) fn conformance() -> McpServer {
    let tools: [fn() -> Tool; 26] = [
        content::test_simple_text,
        content::test_image_content,
        content::test_audio_content,
        content::test_embedded_resource,
        content::test_multiple_content_types,
        content::test_tool_with_logging,
        content::test_logging_tool,
        content::test_error_handling,
        content::test_tool_with_progress,
        content::test_reconnection,
        content::test_region,
        content::json_schema_2020_12_tool,
        asking::test_sampling,
        asking::test_elicitation,
        asking::test_elicitation_sep1034_defaults,
        asking::test_elicitation_sep1330_enums,
        asking::test_missing_capability,
        asking::test_streaming_elicitation,
        asking::test_input_required_result_elicitation,
        asking::test_input_required_result_sampling,
        asking::test_input_required_result_list_roots,
        asking::test_input_required_result_request_state,
        asking::test_input_required_result_multiple_inputs,
        asking::test_input_required_result_multi_round,
        asking::test_input_required_result_tampered_state,
        asking::test_input_required_result_capabilities,
    ];
    let server = McpServer::new("conformance").name("Conformance").description("What the conformance suite calls");
    tools
        .iter()
        .fold(server, McpServer::tool)
        .resource(
            Resource::new("test://static-text", "Static text")
                .description("A text that never changes")
                .mime_type("text/plain"),
        )
        .resource(
            Resource::new("test://static-binary", "Static picture")
                .description("A picture that never changes")
                .mime_type("image/png"),
        )
        .resource(
            Resource::new("test://watched-resource", "Watched text")
                .description("A text to subscribe to")
                .mime_type("text/plain"),
        )
        .resource_template(
            ResourceTemplate::new("test://template/{id}/data", "Data by id")
                .description("A document for each id")
                .mime_type("application/json"),
        )
        .prompt(Prompt::new("test_simple_prompt").description("A prompt without arguments"))
        .prompt(
            Prompt::new("test_prompt_with_arguments")
                .description("A prompt with arguments")
                .argument("arg1", "First test argument")
                .argument("arg2", "Second test argument"),
        )
        .prompt(
            Prompt::new("test_prompt_with_embedded_resource")
                .description("A prompt with a resource in it")
                .argument("resourceUri", "URI of the resource to embed"),
        )
        .prompt(Prompt::new("test_prompt_with_image").description("A prompt with a picture in it"))
        .prompt(Prompt::new("test_input_required_result_prompt").description("A prompt that asks the user first"))
        .completions()
        .code(answer)
}

async fn answer(ctx: Ctx, request: McpRequest) -> Result<Value> {
    match request {
        McpRequest::ReadResource { uri } => read(&uri),
        McpRequest::GetPrompt { name, arguments } => {
            let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            prompt(&ctx, &name, argument)
        }
        McpRequest::Complete { value, .. } => {
            let known = ["paris", "park", "party"];
            let values: Vec<_> = known.into_iter().filter(|known| known.starts_with(&value)).collect();
            Ok(json!({"completion": {"values": values, "total": values.len(), "hasMore": false}}))
        }
        _ => Err(Error::with_code(code::UNSUPPORTED, "the suite asks nothing else")),
    }
}

fn read(uri: &str) -> Result<Value> {
    let text = |text: &str| json!({"uri": uri, "mimeType": "text/plain", "text": text});
    let contents = match uri {
        "test://static-text" => text("This is the content of the static text resource."),
        "test://watched-resource" => text("Watched resource content"),
        "test://static-binary" => json!({"uri": uri, "mimeType": "image/png", "blob": content::PIXEL}),
        uri => {
            let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
            let Some(id) = id.filter(|id| !id.contains('/')) else {
                return Err(Error::with_code(code::NOT_FOUND, "there is no such resource"));
            };
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            json!({"uri": uri, "mimeType": "application/json", "text": data.to_string()})
        }
    };
    Ok(json!({ "contents": [contents] }))
}

fn prompt(ctx: &Ctx, name: &str, argument: impl Fn(&str) -> String) -> Result<Value> {
    let text = |text: String| json!({"role": "user", "content": {"type": "text", "text": text}});
    let messages = match name {
        "test_simple_prompt" => json!([text("This is a simple prompt for testing.".to_owned())]),
        "test_prompt_with_arguments" => {
            let said = format!("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1"), argument("arg2"));
            json!([text(said)])
        }
        "test_prompt_with_embedded_resource" => {
            let said = "Embedded resource content for testing.";
            let resource = json!({"uri": argument("resourceUri"), "mimeType": "text/plain", "text": said});
            let embedded = json!({"role": "user", "content": {"type": "resource", "resource": resource}});
            json!([embedded, text("Please process the embedded resource above.".to_owned())])
        }
        "test_prompt_with_image" => {
            let image = json!({"type": "image", "data": content::PIXEL, "mimeType": "image/png"});
            json!([{"role": "user", "content": image}, text("Please analyze the image above.".to_owned())])
        }
        "test_input_required_result_prompt" => {
            let answers = ctx.resume_data::<Answers>()?.unwrap_or_default();
            match answers.form("user_context").and_then(|form| form.get("context")?.as_str()) {
                Some(context) => json!([text(format!("Use the context {context}."))]),
                None => {
                    let schema = json!({"type": "object", "properties": {"context": {"type": "string"}},
                        "required": ["context"]});
                    let ask = Ask::new().user("user_context", "What context should the prompt use?", &schema);
                    return ctx.suspend(&ask);
                }
            }
        }
        _ => return Err(Error::with_code(code::NOT_FOUND, "there is no such prompt")),
    };
    Ok(json!({ "messages": messages }))
}
