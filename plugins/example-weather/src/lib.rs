//! The first plugin to read: an agent that knows the weather.
//!
//! The tool `get-weather` asks Open-Meteo (no key needed), the agent `weather` may call it,
//! the workflow `pack-a-bag` calls it and waits for somebody's answer.

#[cfg(test)]
mod tests;

use hotbay_plugin::prelude::*;

/// The plugin's settings: the table `[plugins.hotbay-example-weather.config]` of `hotbay.toml`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Where cities are looked up.
    geocoding_url: String,
    /// Where the weather comes from.
    forecast_url: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            geocoding_url: "https://geocoding-api.open-meteo.com/v1/search".to_owned(),
            forecast_url: "https://api.open-meteo.com/v1/forecast".to_owned(),
        }
    }
}

/// What the tool takes. Models see the schema of this type, doc comments of fields included.
#[derive(Deserialize, JsonSchema)]
struct Query {
    /// City name, for example Paris
    city: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Weather {
    place: String,
    temperature_celsius: f64,
    wind_kmh: f64,
    sky: String,
}

// The parts of Open-Meteo's answers that are used here; the rest is ignored.
#[derive(Deserialize)]
struct Cities {
    #[serde(default)]
    results: Vec<City>,
}
#[derive(Deserialize)]
struct City {
    name: String,
    country: Option<String>,
    latitude: f64,
    longitude: f64,
}

#[derive(Deserialize)]
struct Forecast {
    current: Current,
}
#[derive(Deserialize)]
struct Current {
    temperature_2m: f64,
    wind_speed_10m: f64,
    weather_code: u8,
}

/// Get the current weather in a city.
#[tool(id = "get-weather", idempotent, timeout = "20s")]
async fn get_weather(ctx: &Ctx, query: Query) -> Result<Weather> {
    let config = ctx.config::<Config>();
    // The host makes the requests, so a plugin needs no HTTP client of its own.
    let search = ctx.http().get(&config.geocoding_url).query("name", &query.city).query("count", 1);
    let cities: Cities = search.send().await?.error_for_status()?.json()?;
    // The model reads this sentence, so it says what to do.
    let unknown = || Error::new(format!("no city is called `{}`: check the spelling", query.city));
    let city = cities.results.into_iter().next().ok_or_else(unknown)?;
    ctx.info(format!("found {} at {}, {}", city.name, city.latitude, city.longitude));
    let at = ctx.http().get(&config.forecast_url).query("latitude", city.latitude).query("longitude", city.longitude);
    let now = at.query("current", "temperature_2m,wind_speed_10m,weather_code");
    let Forecast { current } = now.send().await?.error_for_status()?.json()?;
    Ok(Weather {
        place: city.country.map_or_else(|| city.name.clone(), |country| format!("{}, {country}", city.name)),
        temperature_celsius: current.temperature_2m,
        wind_kmh: current.wind_speed_10m,
        sky: sky(current.weather_code).to_owned(),
    })
}

/// Puts a weather code (WMO 4677, as Open-Meteo uses it) into words.
fn sky(code: u8) -> &'static str {
    match code {
        0 => "clear",
        1..=2 => "partly cloudy",
        3 => "overcast",
        45 | 48 => "fog",
        51..=57 => "drizzle",
        61..=67 | 80..=82 => "rain",
        71..=77 | 85..=86 => "snow",
        95..=99 => "thunderstorm",
        _ => "unknown",
    }
}

/// Answers questions about the weather.
#[agent]
fn weather() -> Agent {
    Agent::new("weather")
        .name("Weather Agent")
        .instructions("Answer in one sentence. Look the weather up with your tool; never guess it.")
        // Built in, needs no key. For a real one set OPENAI_API_KEY and write "openai/gpt-4o-mini".
        .model("mock/script")
        .memory(Memory::last(10))
        .tool(get_weather)
}

/// What somebody is asked before the bag is packed.
#[derive(Serialize, JsonSchema)]
struct Suggestion {
    items: Vec<String>,
}

/// What they answer.
#[derive(Deserialize, JsonSchema)]
struct Decision {
    agreed: bool,
}

#[derive(Serialize, JsonSchema)]
struct Bag {
    place: String,
    items: Vec<String>,
}

/// Waits for somebody to agree to what goes into the bag.
#[step(suspend = Suggestion, resume = Decision)]
async fn pack(ctx: &Ctx, weather: Weather) -> Result<Bag> {
    // Run once to ask, and again, from here, when there is an answer.
    let items = suggested(&weather);
    match ctx.resume_data::<Decision>()? {
        None => ctx.suspend(&Suggestion { items }),
        Some(Decision { agreed: true }) => Ok(Bag { place: weather.place, items }),
        Some(Decision { agreed: false }) => Ok(Bag { place: weather.place, items: Vec::new() }),
    }
}

fn suggested(weather: &Weather) -> Vec<String> {
    let warm = if weather.temperature_celsius < 15.0 { "coat" } else { "sunglasses" };
    let mut items = vec![warm.to_owned()];
    if ["drizzle", "rain", "thunderstorm"].contains(&&*weather.sky) {
        items.push("umbrella".to_owned());
    }
    items
}

/// Looks the weather up and packs what somebody agrees to.
#[workflow]
fn pack_a_bag() -> Workflow {
    Workflow::new("pack-a-bag").input::<Query>().output::<Bag>().then(get_weather).then(pack)
}

plugin!(
    description: "An agent that knows the weather",
    config: Config,
    tools: [get_weather],
    agents: [weather],
    workflows: [pack_a_bag],
);
