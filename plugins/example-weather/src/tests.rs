//! The plugin's own tests: the tool runs in process, and a closure answers for Open-Meteo.

use hotbay_plugin::{
    http::{HttpRequest, HttpResponse},
    testing::{End, TestHost},
};

use super::*;

fn open_meteo(request: HttpRequest) -> Result<HttpResponse> {
    let body = match request.url.split_once('?') {
        Some((address, query)) if address.ends_with("/search") && query.contains("name=Oslo") => {
            json!({ "results": [{ "name": "Oslo", "country": "Norway", "latitude": 59.9, "longitude": 10.7 }] })
        }
        Some((address, _)) if address.ends_with("/search") => json!({}),
        Some((_, query)) if query.starts_with("latitude=59.9&longitude=10.7&") => {
            json!({ "current": { "temperature_2m": -3.5, "wind_speed_10m": 11, "weather_code": 71 } })
        }
        _ => return Ok(HttpResponse { status: 400, ..HttpResponse::default() }),
    };
    Ok(HttpResponse { status: 200, body: Some(body.to_string()), ..HttpResponse::default() })
}

#[test]
fn weather_of_a_city_comes_in_words_and_numbers() {
    let plugin = TestHost::new().http(open_meteo).open(plugin(), &json!({})).unwrap();
    let weather: Value = plugin.tool("get-weather").run(&json!({ "city": "Oslo" })).unwrap().value().unwrap();
    assert_eq!(weather, json!({ "place": "Oslo, Norway", "temperatureCelsius": -3.5, "windKmh": 11.0, "sky": "snow" }));
}

#[test]
fn unknown_city_is_named() {
    let plugin = TestHost::new().http(open_meteo).open(plugin(), &json!({})).unwrap();
    let error = plugin.tool("get-weather").run(&json!({ "city": "Atlantis" })).unwrap_err();
    assert_eq!(error.message, "no city is called `Atlantis`: check the spelling");
}

#[test]
fn agent_has_the_tool() {
    assert_eq!(weather().manifest().tools[0].id, "get-weather");
}

#[test]
fn bag_is_packed_once_somebody_agrees() {
    let plugin = TestHost::new().http(open_meteo).open(plugin(), &json!({})).unwrap();
    let oslo = json!({ "city": "Oslo" });
    let waiting = plugin.workflow("pack-a-bag").run(&oslo).unwrap();
    assert_eq!(waiting.end, End::Suspended(json!({ "items": ["coat"] })));
    let run = plugin.workflow("pack-a-bag").resume("pack", json!({ "agreed": true })).run(&oslo).unwrap();
    assert_eq!(run.end, End::Value(json!({ "place": "Oslo, Norway", "items": ["coat"] })));
}
