mod files;
#[cfg(hotbay_test_minilm)]
mod reference;
mod tiny;

use std::sync::{Mutex, Weak};

use hotbay_plugin::{
    prelude::*,
    testing::{TestHost, TestPlugin},
};
use tempfile::TempDir;

use crate::{engine::Engine, model::Model};
use tiny::Tiny;

const ID: &str = "local/all-minilm-l6-v2";

/// Opens the plugin on a directory of a model's files.
fn open(model: &std::path::Path) -> TestPlugin {
    TestHost::new().open(super::plugin(), &json!({ "model": model, "threads": 2 })).unwrap()
}

/// Opens the plugin on a model of random weights.
fn open_tiny() -> (TempDir, TestPlugin) {
    let directory = TempDir::new().unwrap();
    Tiny::default().write(directory.path());
    let plugin = open(directory.path());
    (directory, plugin)
}

/// Vectors of length 1: the cosine of the angle between them.
fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[test]
fn manifest_tells_the_dimension() {
    let (_directory, plugin) = open_tiny();
    let embedder = &plugin.manifest().embedders[0];
    assert_eq!((embedder.id.as_str(), embedder.dimension), (ID, 384));
}

#[test]
fn any_text_has_a_vector_of_length_one() {
    let (_directory, plugin) = open_tiny();
    let long = "red fox ".repeat(100_000);
    let texts =
        ["", " ", "red fox", "東京は日本の首都です", "🚀🎉", "e\u{301}\u{301}\u{301}", "\0\u{feff}\u{202e}", &long];
    let vectors = plugin.embed(ID, &texts).unwrap();
    assert_eq!(vectors.len(), texts.len());
    for (text, vector) in texts.iter().zip(&vectors) {
        assert_eq!(vector.len(), 384);
        let start: String = text.chars().take(20).collect();
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-5, "{start:?}");
    }
}

#[test]
fn no_texts_have_no_vectors() {
    let (_directory, plugin) = open_tiny();
    assert!(plugin.embed(ID, &[]).unwrap().is_empty());
}

#[test]
fn a_thousand_texts_are_each_as_alone() {
    let (_directory, plugin) = open_tiny();
    let words = ["red", "fox", "runs", "home", "unheard"];
    let mut random = fastrand::Rng::with_seed(7);
    let mut text =
        || -> String { (0..random.usize(0..8)).map(|_| words[random.usize(0..5)]).collect::<Vec<_>>().join(" ") };
    let texts: Vec<String> = (0..1000).map(|_| text()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = plugin.embed(ID, &texts).unwrap();
    assert_eq!(together.len(), 1000);
    for place in (0..1000).step_by(97) {
        let alone = plugin.embed(ID, &texts[place..=place]).unwrap();
        for (one, other) in alone[0].iter().zip(&together[place]) {
            assert!((one - other).abs() < 1e-5, "text {place}: {one} and {other}");
        }
    }
}

#[test]
fn what_is_after_256_tokens_does_not_count() {
    let (_directory, plugin) = open_tiny();
    // Two of the tokens are the marks of beginning and end.
    let counted = "fox ".repeat(254);
    let one_less = "fox ".repeat(253);
    let vectors =
        plugin.embed(ID, &[&counted, &format!("{counted} red runs home"), &format!("{one_less} red")]).unwrap();
    assert_eq!(vectors[0], vectors[1]);
    assert!(vectors[0] != vectors[2]);
}

#[test]
fn order_of_words_matters() {
    let (_directory, plugin) = open_tiny();
    let vectors = plugin.embed(ID, &["red fox", "fox red", "Red FOX"]).unwrap();
    assert!(vectors[0] != vectors[1]);
    assert_eq!(vectors[0], vectors[2], "the model knows no capital letters");
}

/// What [`watch`] has seen.
static WATCHED: Mutex<Weak<Model>> = Mutex::new(Weak::new());

#[tool(untyped_output)]
async fn watch(ctx: &Ctx) -> Result<bool> {
    let mut watched = WATCHED.lock().unwrap();
    *watched = ctx.state::<Engine>().loaded();
    Ok(watched.upgrade().is_some())
}

#[test]
fn model_is_loaded_by_the_first_call_and_given_back_with_the_generation() {
    let directory = TempDir::new().unwrap();
    Tiny::default().write(directory.path());
    let config = json!({ "model": directory.path() });
    let plugin = TestHost::new().open(super::plugin().tool(watch), &config).unwrap();
    assert_eq!(plugin.tool("watch").run(&json!({})).unwrap(), json!(false));
    plugin.embed(ID, &["red"]).unwrap();
    assert_eq!(plugin.tool("watch").run(&json!({})).unwrap(), json!(true));
    plugin.shutdown().unwrap();
    assert!(WATCHED.lock().unwrap().upgrade().is_none(), "the model outlives its generation");
}
