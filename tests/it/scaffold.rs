//! `hotbay plugin new`: what it makes is built, tested and loaded for real; what it refuses.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use hotbay_tests::{TestHost, cargo, eventually, plugin_host::put};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{hotbay, text};

const KINDS: [&str; 5] = ["tool", "agent", "workflow", "vector", "model"];
/// What a plugin of each kind offers, as the host lists it.
const OFFERS: [(&str, &str, &str); 5] = [
    ("made-tool", "tools", "made-tool"),
    ("made-agent", "agents", "made-agent"),
    ("made-workflow", "workflows", "made-workflow"),
    ("made-vector", "vectorStores", "made-vector"),
    ("made-model", "models", "made-model/echo"),
];
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn new_plugin_of_every_kind_passes_its_tests_loads_and_answers() {
    let home = TempDir::new().unwrap();
    for kind in KINDS {
        let directory = cargo::new_plugin(home.path(), &format!("made-{kind}"), kind);
        let tested = cargo::run(&directory, &["test"]);
        assert!(tested.contains("tests::") && tested.contains("test result: ok."), "{kind}: {tested}");
        cargo::run(&directory, &["build"]);
    }
    for (name, capability, id) in OFFERS {
        let library = cargo::made_library(name);
        let checked = hotbay(home.path(), &["plugin", "check", "--json", library.to_str().unwrap()]);
        assert!(checked.status.success(), "{name}: {}{}", text(&checked.stdout), text(&checked.stderr));
        let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert_eq!(report["capabilities"][capability], json!([id]));
    }

    let settings = "[plugins.made-workflow.config]\nmax_words = 3\n[plugins.made-vector.config]\nmax_vectors = 3\n";
    let host = TestHost::builder().config_text(settings).start().await.unwrap();
    for (name, ..) in OFFERS {
        load(&host, name);
    }
    let serving = eventually(SOON, || async {
        let plugins = serving(&host).await;
        (plugins.len() == OFFERS.len()).then_some(plugins)
    });
    let serving = serving.await;
    for (name, capability, id) in OFFERS {
        assert_eq!(serving[name]["capabilities"][capability], json!([id]), "{name}");
    }

    let counted = json!({ "words": 3, "characters": 13 });
    let execute = json!({ "data": { "text": "Grüße aus Ulm" } });
    assert_eq!(host.post_json("/api/tools/made-tool/execute", &execute).await.unwrap(), (200, counted.clone()));
    let question = json!({ "messages": "call made-agent-count {\"text\": \"Grüße aus Ulm\"}" });
    let (status, answer) = host.post_json("/api/agents/made-agent/generate", &question).await.unwrap();
    assert_eq!((status, &answer["toolResults"][0]["payload"]["result"]), (200, &counted), "{answer}");

    // As its comment says: another model is named, saved and built, and the host swaps.
    let source = home.path().join("made-agent/src/lib.rs");
    let code = fs::read_to_string(&source).unwrap();
    let code = code.replace("\"mock/script\"", "\"made-model/echo\"");
    fs::write(&source, code).unwrap();
    cargo::run(&home.path().join("made-agent"), &["build"]);
    load(&host, "made-agent");
    let echoed = eventually(SOON, || async {
        let question = json!({ "messages": "Grüße aus Ulm" });
        let (status, answer) = host.post_json("/api/agents/made-agent/generate", &question).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        (answer["text"] == "Grüße aus Ulm").then_some(())
    });
    echoed.await;
}

fn load(host: &TestHost, name: &str) {
    put(&host.plugin_dir(), &format!("{name}.so"), &fs::read(cargo::made_library(name)).unwrap());
}

/// The plugins that serve, by name.
async fn serving(host: &TestHost) -> BTreeMap<String, Value> {
    let (status, answer) = host.get_json("/api/plugins").await.unwrap();
    assert_eq!(status, 200, "{answer}");
    let plugins = answer["plugins"].as_array().unwrap();
    for plugin in plugins {
        assert_eq!(plugin["lastError"], Value::Null, "{plugin:#}");
    }
    let serving = plugins.iter().filter(|plugin| plugin["state"] == "serving");
    serving.map(|plugin| (plugin["name"].as_str().unwrap().to_owned(), plugin.clone())).collect()
}

#[track_caller]
fn check_refused(home: &Path, arguments: &[&str], status: i32, sentence: &str) {
    let before = fs::read_dir(home).unwrap().count();
    let done = hotbay(home, &[&["plugin", "new"], arguments].concat());
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(status), "{arguments:?}: {said}");
    assert!(said.contains(sentence), "{arguments:?}: {said}");
    assert!(done.stdout.is_empty());
    assert_eq!(fs::read_dir(home).unwrap().count(), before, "{arguments:?} left something");
}

#[test]
fn what_is_there_is_not_touched() {
    let home = TempDir::new().unwrap();
    cargo::new_plugin(home.path(), "weather", "tool");
    let source = home.path().join("weather/src/lib.rs");
    fs::write(&source, "// mine").unwrap();
    check_refused(home.path(), &["weather", "--kind", "agent"], 1, "weather exists already");
    assert_eq!(fs::read_to_string(source).unwrap(), "// mine");
    fs::create_dir(home.path().join("full")).unwrap();
    fs::write(home.path().join("full/notes.txt"), "").unwrap();
    check_refused(home.path(), &["forecast", "--kind", "tool", "--path", "full"], 1, "full exists already");
    assert_eq!(fs::read_dir(home.path().join("full")).unwrap().count(), 1);
}

#[test]
fn names_that_cannot_be_crates_are_refused_with_a_sentence() {
    let home = TempDir::new().unwrap();
    for name in ["Weather", "my_weather", "9-lives", "../weather", "wetter-ä"] {
        check_refused(
            home.path(),
            &[name, "--kind", "tool"],
            1,
            "cannot be the name of a plugin: use lower-case letters",
        );
    }
    for name in ["async", "test", "hotbay-plugin"] {
        check_refused(home.path(), &[name, "--kind", "tool"], 1, "Rust or cargo uses it for something else");
    }
}

#[test]
fn unknown_kind_and_missing_sdk_say_what_there_is() {
    let home = TempDir::new().unwrap();
    let kinds = "possible values: tool, agent, workflow, vector, model";
    check_refused(home.path(), &["weather", "--kind", "toaster"], 2, kinds);
    check_refused(home.path(), &["weather"], 2, "--kind <KIND>");
    check_refused(home.path(), &["weather", "--kind", "tool", "--sdk", "nowhere"], 1, "cannot find the SDK at nowhere");
}

#[test]
fn help_names_every_kind() {
    let home = TempDir::new().unwrap();
    let help = hotbay(home.path(), &["plugin", "new", "--help"]);
    assert!(help.status.success());
    let help = text(&help.stdout);
    for kind in KINDS {
        assert!(help.contains(&format!("- {kind}:")), "{kind} is missing: {help}");
    }
}
