//! Where the files are, and what is said of those that are missing or wrong.

use std::fs;

use hotbay_plugin::{error::code, testing::TestHost};
use safetensors::Dtype;
use serde_json::json;
use tempfile::TempDir;

use super::{ID, open, tiny::Tiny};

/// Writes a model, spoils it, and checks what the call says.
#[track_caller]
fn check(tiny: &Tiny, spoil: impl FnOnce(&std::path::Path), expected: &[&str]) {
    let directory = TempDir::new().unwrap();
    tiny.write(directory.path());
    spoil(directory.path());
    let error = open(directory.path()).embed(ID, &["red"]).unwrap_err();
    for part in expected {
        assert!(error.message.contains(part), "`{part}` is not in: {}", error.message);
    }
}

#[test]
fn missing_files_are_named_with_the_command_and_found_when_they_come() {
    let data = TempDir::new().unwrap();
    let own = data.path().join("plugin-data").join("hotbay-embed-minilm");
    let plugin = TestHost::new().data_directory(own).open(crate::plugin(), &json!({})).unwrap();
    let model = data.path().join("models/all-minilm-l6-v2");

    let error = plugin.embed(ID, &["red"]).unwrap_err();
    assert_eq!(error.code, code::UNAVAILABLE);
    assert!(error.message.contains(model.join("model.safetensors").to_str().unwrap()), "{}", error.message);
    let command = format!("hotbay model pull all-minilm-l6-v2 --data {}", data.path().display());
    assert!(error.message.contains(&command), "{}", error.message);

    fs::create_dir_all(&model).unwrap();
    fs::write(model.join("model.safetensors"), Tiny::default().weights()).unwrap();
    let error = plugin.embed(ID, &["red"]).unwrap_err();
    assert!(error.message.contains("tokenizer.json is missing"), "{}", error.message);

    fs::write(model.join("tokenizer.json"), Tiny::default().tokenizer().to_string()).unwrap();
    assert_eq!(plugin.embed(ID, &["red"]).unwrap().len(), 1);

    // Loaded once: what becomes of the files does not matter any more.
    fs::remove_dir_all(&model).unwrap();
    assert_eq!(plugin.embed(ID, &["fox"]).unwrap().len(), 1);
}

#[test]
fn truncated_weights_are_refused_wherever_they_end() {
    let whole = Tiny::default().weights();
    for length in [0, 7, 8, 100, 8000, whole.len() / 2, whole.len() - 1] {
        let cut =
            |directory: &std::path::Path| fs::write(directory.join("model.safetensors"), &whole[..length]).unwrap();
        check(&Tiny::default(), cut, &["model.safetensors", "damaged or not complete"]);
    }
}

#[test]
fn damaged_tokenizer_is_refused() {
    for text in ["", "{", "{}", "<html>", "[1]"] {
        let spoil = |directory: &std::path::Path| fs::write(directory.join("tokenizer.json"), text).unwrap();
        check(&Tiny::default(), spoil, &["tokenizer.json", "damaged or not complete"]);
    }
}

#[test]
fn weights_of_another_model_are_refused() {
    let keep = |_: &std::path::Path| {};
    check(&Tiny { width: 768, ..Tiny::default() }, keep, &["word_embeddings", "[10, 768] instead of [.., 384]"]);
    check(&Tiny { layers: 12, ..Tiny::default() }, keep, &["more than 6 layers"]);
    check(&Tiny { layers: 3, ..Tiny::default() }, keep, &["it has no `encoder.layer.3.attention.self.query.weight`"]);
    check(&Tiny { dtype: Dtype::F16, ..Tiny::default() }, keep, &["holds F16 instead of F32"]);
    check(&Tiny { known: 9, ..Tiny::default() }, keep, &["tokenizer.json", "`##s` has number 9, the weights know 9"]);
    check(&Tiny { weight: Some(f32::NAN), ..Tiny::default() }, keep, &["no numbers"]);
}

#[test]
fn file_that_is_too_large_is_not_read() {
    let grow = |directory: &std::path::Path| {
        fs::File::create(directory.join("model.safetensors")).unwrap().set_len(1 << 40).unwrap();
    };
    check(&Tiny::default(), grow, &["model.safetensors cannot be read", "too large"]);
}

#[test]
fn directory_in_a_files_place_is_said() {
    let spoil = |directory: &std::path::Path| {
        fs::remove_file(directory.join("tokenizer.json")).unwrap();
        fs::create_dir(directory.join("tokenizer.json")).unwrap();
    };
    check(&Tiny::default(), spoil, &["tokenizer.json cannot be read"]);
}

#[test]
fn wrong_settings_are_refused() {
    for config in [json!({ "threads": 0 }), json!({ "modle": "x" }), json!({ "threads": "many" })] {
        assert!(TestHost::new().open(crate::plugin(), &config).is_err(), "{config}");
    }
}
