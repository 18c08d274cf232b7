//! The tools: one that answers, one that computes, one that fails, one that needs
//! approval and one that suspends.

use hotbay_plugin::prelude::*;

use crate::number::plain_number;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Place {
    /// City name
    city: String,
    #[expect(dead_code, reason = "part of the recorded schema; the weather is the same in any unit")]
    units: Option<Units>,
}

#[derive(Deserialize, JsonSchema)]
enum Units {
    C,
    F,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Weather {
    city: String,
    #[serde(serialize_with = "plain_number")]
    temperature: f64,
    conditions: &'static str,
}

#[tool(description = "Get the weather for a city")]
pub(crate) async fn weather(place: Place) -> Result<Weather> {
    Ok(Weather { city: place.city, temperature: 21.0, conditions: "sunny" })
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Calculation {
    op: Operation,
    a: f64,
    b: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Add,
    Sub,
    Mul,
    Div,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Outcome {
    #[serde(serialize_with = "plain_number")]
    result: f64,
}

#[tool(description = "Do arithmetic on two numbers")]
pub(crate) async fn calculator(input: Calculation) -> Result<Outcome> {
    let Calculation { op, a, b } = input;
    let result = match op {
        Operation::Add => a + b,
        Operation::Sub => a - b,
        Operation::Mul => a * b,
        // Division by zero is no error: infinity is `null` in JSON, as recorded.
        Operation::Div => a / b,
    };
    Ok(Outcome { result })
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Failure {
    reason: Option<String>,
}

#[tool(description = "Always throws")]
pub(crate) async fn failing(input: Failure) -> Result<()> {
    Err(Error::new(input.reason.unwrap_or_else(|| "tool exploded".to_owned())))
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Deletion {
    target: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Deleted {
    deleted: String,
}

#[tool(id = "approval-tool", description = "Needs approval before running", require_approval)]
pub(crate) async fn approval_tool(input: Deletion) -> Result<Deleted> {
    Ok(Deleted { deleted: input.target })
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Question {
    question: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Reply {
    answer: String,
}

#[tool(id = "suspend-tool", description = "Suspends until a human answers", suspend = Question, resume = Reply)]
pub(crate) async fn suspend_tool(ctx: &Ctx, question: Question) -> Result<Reply> {
    match ctx.resume_data()? {
        Some(reply) => Ok(reply),
        None => ctx.suspend(&question),
    }
}

#[cfg(test)]
mod tests {
    use hotbay_plugin::schema::DIALECT;

    use super::*;

    fn object(properties: &Value, required: &Value) -> Value {
        let mut schema = json!({ "$schema": DIALECT, "type": "object", "properties": properties });
        if !required.is_null() {
            schema["required"] = required.clone();
        }
        schema["additionalProperties"] = false.into();
        schema
    }

    /// Compares texts, since the order of the keys is part of the recording.
    #[track_caller]
    fn check(tool: &Tool, expected: &Value) {
        assert_eq!(serde_json::to_value(tool.manifest()).unwrap().to_string(), expected.to_string());
    }

    #[test]
    fn weather_is_described_as_recorded() {
        let city = json!({ "type": "string", "description": "City name" });
        let units = json!({ "type": "string", "enum": ["C", "F"] });
        let output = json!({
            "city": { "type": "string" }, "temperature": { "type": "number" }, "conditions": { "type": "string" },
        });
        check(
            &weather(),
            &json!({
                "id": "weather",
                "description": "Get the weather for a city",
                "inputSchema": object(&json!({ "city": city, "units": units }), &json!(["city"])),
                "outputSchema": object(&output, &json!(["city", "temperature", "conditions"])),
            }),
        );
    }

    #[test]
    fn calculator_is_described_as_recorded() {
        let number = json!({ "type": "number" });
        let op = json!({ "type": "string", "enum": ["add", "sub", "mul", "div"] });
        check(
            &calculator(),
            &json!({
                "id": "calculator",
                "description": "Do arithmetic on two numbers",
                "inputSchema": object(&json!({ "op": op, "a": number, "b": number }), &json!(["op", "a", "b"])),
                "outputSchema": object(&json!({ "result": number }), &json!(["result"])),
            }),
        );
    }

    #[test]
    fn failing_is_described_without_an_output() {
        check(
            &failing(),
            &json!({
                "id": "failing",
                "description": "Always throws",
                "inputSchema": object(&json!({ "reason": { "type": "string" } }), &Value::Null),
            }),
        );
    }

    #[test]
    fn approval_and_suspension_are_described() {
        let of = |name: &str| object(&json!({ name: { "type": "string" } }), &json!([name]));
        check(
            &approval_tool(),
            &json!({
                "id": "approval-tool",
                "description": "Needs approval before running",
                "inputSchema": of("target"),
                "outputSchema": of("deleted"),
                "requireApproval": true,
            }),
        );
        check(
            &suspend_tool(),
            &json!({
                "id": "suspend-tool",
                "description": "Suspends until a human answers",
                "inputSchema": of("question"),
                "outputSchema": of("answer"),
                "suspendSchema": of("question"),
                "resumeSchema": of("answer"),
            }),
        );
    }

    #[test]
    fn numbers_are_written_the_way_the_recorded_server_did() {
        let written = |result: f64| serde_json::to_string(&Outcome { result }).unwrap();
        assert_eq!(written(3.0), r#"{"result":3}"#);
        assert_eq!(written(-2.5), r#"{"result":-2.5}"#);
        assert_eq!(written(f64::INFINITY), r#"{"result":null}"#);
    }
}
