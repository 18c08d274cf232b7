//! The smallest plugin: one tool.
use hotbay_plugin::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Query {
    /// City name
    city: String,
}

#[derive(Serialize, JsonSchema)]
struct Forecast {
    summary: String,
}

/// Weather forecast for a city.
#[tool]
async fn weather(ctx: &Ctx, query: Query) -> Result<Forecast> {
    ctx.info("looking up");
    // What happens to a panic: the caller gets an error, the host goes on.
    assert!(query.city != "Atlantis", "there is no Atlantis");
    Ok(Forecast { summary: format!("{}: sunny", query.city) })
}

plugin!(tools: [weather]);
