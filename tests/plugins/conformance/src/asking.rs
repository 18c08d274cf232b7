//! Tools that ask the client something before they answer.

use hotbay_plugin::{
    mcp::{Answers, Ask, Content},
    prelude::*,
};

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Prompted {
    /// What to ask the model
    prompt: String,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Shown {
    /// What to show the user
    message: String,
}

/// Returns a question to the client's model.
fn sampling(text: &str, max_tokens: u32) -> Value {
    json!({"messages": [{"role": "user", "content": {"type": "text", "text": text}}], "maxTokens": max_tokens})
}

/// Returns a form of one field.
fn one_field(name: &str, kind: &str) -> Value {
    json!({"type": "object", "properties": {name: {"type": kind}}, "required": [name]})
}

/// Returns what the user did with the form, in the suite's words.
fn shown(answers: &Answers, name: &str) -> (String, String) {
    let answer = answers.input_responses.get(name).unwrap_or(&Value::Null);
    let action = answer["action"].as_str().unwrap_or("none").to_owned();
    (action, answer["content"].to_string())
}

#[tool(description = "Asks the client's model")]
pub(crate) async fn test_sampling(ctx: &Ctx, input: Prompted) -> Result<Content> {
    let Some(answers) = ctx.resume_data::<Answers>()? else {
        return ctx.suspend(&Ask::new().model("model", sampling(&input.prompt, 100)));
    };
    Ok(Content::text(format!("LLM response: {}", answers.said("model").unwrap_or("none"))))
}

#[tool(description = "Asks the client's user")]
pub(crate) async fn test_elicitation(ctx: &Ctx, input: Shown) -> Result<Content> {
    let Some(answers) = ctx.resume_data::<Answers>()? else {
        let schema = json!({"type": "object", "required": ["username", "email"], "properties": {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        }});
        return ctx.suspend(&Ask::new().user("user", input.message, &schema));
    };
    let (action, content) = shown(&answers, "user");
    Ok(Content::text(format!("User response: action={action}, content={content}")))
}

/// Asks with a form and says what came of it.
fn elicited(ctx: &Ctx, message: &str, schema: &Value) -> Result<Content> {
    let Some(answers) = ctx.resume_data::<Answers>()? else {
        return ctx.suspend(&Ask::new().user("user", message, schema));
    };
    let (action, content) = shown(&answers, "user");
    Ok(Content::text(format!("Elicitation completed: action={action}, content={content}")))
}

#[tool(description = "Asks with defaults for every kind of field")]
pub(crate) async fn test_elicitation_sep1034_defaults(ctx: &Ctx) -> Result<Content> {
    let schema = json!({"type": "object", "required": [], "properties": {
        "name": {"type": "string", "description": "User name", "default": "John Doe"},
        "age": {"type": "integer", "description": "User age", "default": 30},
        "score": {"type": "number", "description": "User score", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "description": "Verification status", "default": true},
    }});
    elicited(ctx, "Please review and update the form fields with defaults", &schema)
}

#[tool(description = "Asks with every kind of choice")]
pub(crate) async fn test_elicitation_sep1330_enums(ctx: &Ctx) -> Result<Content> {
    let titled = |value: &str, title: &str| json!({"const": value, "title": title});
    let options = json!(["option1", "option2", "option3"]);
    let schema = json!({"type": "object", "required": [], "properties": {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": [
            titled("value1", "First Option"), titled("value2", "Second Option"), titled("value3", "Third Option"),
        ]},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": [
            titled("value1", "First Choice"), titled("value2", "Second Choice"), titled("value3", "Third Choice"),
        ]}},
    }});
    elicited(ctx, "Please select options from the enum fields", &schema)
}

#[tool(description = "Needs a client with a model")]
pub(crate) async fn test_missing_capability(ctx: &Ctx) -> Result<Content> {
    match ctx.resume_data::<Answers>()? {
        None => ctx.suspend(&Ask::new().model("model", sampling("Anything", 10))),
        Some(_) => Ok(Content::text("The client has a model")),
    }
}

#[tool(description = "Asks the client's user in the middle of a stream")]
pub(crate) async fn test_streaming_elicitation(ctx: &Ctx) -> Result<Content> {
    ctx.progress(1.0, None, None).await?;
    match ctx.resume_data::<Answers>()? {
        None => ctx.suspend(&Ask::new().user("user", "Go on?", &one_field("ok", "boolean"))),
        Some(_) => Ok(Content::text("Went on")),
    }
}

#[tool(description = "Asks the client's user for a name")]
pub(crate) async fn test_input_required_result_elicitation(ctx: &Ctx) -> Result<Content> {
    let answers = ctx.resume_data::<Answers>()?.unwrap_or_default();
    // An answer that is none is asked for again.
    match answers.form("user_name").and_then(|form| form.get("name")?.as_str()) {
        Some(name) => Ok(Content::text(format!("Hello, {name}!"))),
        None => ctx.suspend(&Ask::new().user("user_name", "What is your name?", &one_field("name", "string"))),
    }
}

#[tool(description = "Asks the client's model for a capital")]
pub(crate) async fn test_input_required_result_sampling(ctx: &Ctx) -> Result<Content> {
    let answers = ctx.resume_data::<Answers>()?.unwrap_or_default();
    match answers.said("capital_question") {
        Some(text) => Ok(Content::text(text)),
        None => ctx.suspend(&Ask::new().model("capital_question", sampling("What is the capital of France?", 100))),
    }
}

#[tool(description = "Asks the client for its roots")]
pub(crate) async fn test_input_required_result_list_roots(ctx: &Ctx) -> Result<Content> {
    let answers = ctx.resume_data::<Answers>()?.unwrap_or_default();
    match answers.input_responses.get("client_roots") {
        Some(roots) => Ok(Content::text(format!("Roots: {}", roots["roots"]))),
        None => ctx.suspend(&Ask::new().roots("client_roots")),
    }
}

#[tool(description = "Keeps something while it asks")]
pub(crate) async fn test_input_required_result_request_state(ctx: &Ctx) -> Result<Content> {
    confirmed(ctx)
}

#[tool(description = "Keeps something nobody may change while it asks")]
pub(crate) async fn test_input_required_result_tampered_state(ctx: &Ctx) -> Result<Content> {
    confirmed(ctx)
}

fn confirmed(ctx: &Ctx) -> Result<Content> {
    let answers = ctx.resume_data::<Answers>()?.unwrap_or_default();
    match answers.form("confirm") {
        Some(_) if answers.state == "kept" => Ok(Content::text("state-ok")),
        _ => {
            let ask = Ask::new().user("confirm", "Please confirm", &one_field("ok", "boolean"));
            ctx.suspend(&ask.state("kept"))
        }
    }
}

#[tool(description = "Asks three things at once")]
pub(crate) async fn test_input_required_result_multiple_inputs(ctx: &Ctx) -> Result<Content> {
    let answers = ctx.resume_data::<Answers>()?.unwrap_or_default();
    let names = ["user_name", "greeting", "client_roots"];
    if names.iter().all(|name| answers.input_responses.contains_key(*name)) {
        return Ok(Content::text("All three were answered"));
    }
    let ask = Ask::new()
        .user("user_name", "What is your name?", &one_field("name", "string"))
        .model("greeting", sampling("Generate a greeting", 50))
        .roots("client_roots");
    ctx.suspend(&ask.state("all"))
}

#[tool(description = "Asks one thing after the other")]
pub(crate) async fn test_input_required_result_multi_round(ctx: &Ctx) -> Result<Content> {
    let answers = ctx.resume_data::<Answers>()?.unwrap_or_default();
    let field = |step: &str, field: &str| {
        let value = answers.form(step).and_then(|form| form.get(field)?.as_str());
        value.map(str::to_owned)
    };
    if let (Some(name), Some(color)) = (answers.state["name"].as_str(), field("step2", "color")) {
        return Ok(Content::text(format!("{name} likes {color}")));
    }
    match field("step1", "name") {
        Some(name) => {
            let ask = Ask::new().user("step2", "Step 2: What is your favorite color?", &one_field("color", "string"));
            ctx.suspend(&ask.state(json!({ "name": name })))
        }
        None => {
            let ask = Ask::new().user("step1", "Step 1: What is your name?", &one_field("name", "string"));
            ctx.suspend(&ask.state(json!({})))
        }
    }
}

#[tool(description = "Asks what the client can be asked")]
pub(crate) async fn test_input_required_result_capabilities(ctx: &Ctx) -> Result<Content> {
    match ctx.resume_data::<Answers>()? {
        Some(answers) => Ok(Content::text(format!("{} answers", answers.input_responses.len()))),
        None => {
            let ask = Ask::new().user("user", "Who are you?", &one_field("name", "string"));
            ctx.suspend(&ask.model("model", sampling("Who are you?", 50)))
        }
    }
}
