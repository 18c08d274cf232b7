use serde_json::json;

use super::*;

fn plugin(name: &str) -> Arc<str> {
    name.into()
}

async fn ask(values: &KeyValues, name: &str, op: &str, body: Value) -> Result<Value, Error> {
    let answer = values.request(&plugin(name), op, body.to_string().as_bytes()).await?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

#[tokio::test]
async fn values_are_kept_apart_and_survive_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let values = KeyValues::new(home.path().join("kv"));
    assert_eq!(ask(&values, "a", "kv.get", json!({"key": "x"})).await.unwrap(), Value::Null);
    ask(&values, "a", "kv.set", json!({"key": "x/1", "value": {"n": 1}})).await.unwrap();
    ask(&values, "a", "kv.set", json!({"key": "x/2", "value": null})).await.unwrap();
    ask(&values, "a", "kv.set", json!({"key": "y", "value": "z"})).await.unwrap();
    let again = KeyValues::new(home.path().join("kv"));
    assert_eq!(ask(&again, "a", "kv.get", json!({"key": "x/1"})).await.unwrap(), json!({"n": 1}));
    assert_eq!(ask(&again, "a", "kv.list", json!({"prefix": "x/"})).await.unwrap(), json!(["x/1", "x/2"]));
    assert_eq!(ask(&again, "b", "kv.list", json!({})).await.unwrap(), json!([]));
    ask(&again, "a", "kv.delete", json!({"key": "y"})).await.unwrap();
    ask(&again, "a", "kv.delete", json!({"key": "never there"})).await.unwrap();
    assert_eq!(ask(&again, "a", "kv.get", json!({"key": "y"})).await.unwrap(), Value::Null);
}

#[tokio::test]
async fn half_written_file_of_a_crash_is_never_read() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("kv");
    let values = KeyValues::new(directory.clone());
    ask(&values, "a", "kv.set", json!({"key": "x", "value": 1})).await.unwrap();
    fs::write(directory.join("a.json.tmp"), "{\"x\": ").unwrap();
    let again = KeyValues::new(directory.clone());
    assert_eq!(ask(&again, "a", "kv.get", json!({"key": "x"})).await.unwrap(), json!(1));
    ask(&again, "a", "kv.set", json!({"key": "x", "value": 2})).await.unwrap();
    assert!(!directory.join("a.json.tmp").exists());
}

#[tokio::test]
async fn values_beyond_the_limit_are_refused_and_change_nothing() {
    let home = tempfile::tempdir().unwrap();
    let values = KeyValues::new(home.path().join("kv"));
    ask(&values, "a", "kv.set", json!({"key": "x", "value": 1})).await.unwrap();
    let error = ask(&values, "a", "kv.set", json!({"key": "x", "value": "y".repeat(LIMIT)})).await.unwrap_err();
    assert_eq!(error.code, code::INPUT);
    assert_eq!(ask(&values, "a", "kv.get", json!({"key": "x"})).await.unwrap(), json!(1));
}

#[tokio::test]
async fn damaged_file_is_unavailable_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.json"), "not json").unwrap();
    let values = KeyValues::new(home.path().to_owned());
    let error = ask(&values, "a", "kv.set", json!({"key": "x", "value": 1})).await.unwrap_err();
    assert_eq!(error.code, code::UNAVAILABLE);
    assert_eq!(fs::read_to_string(home.path().join("a.json")).unwrap(), "not json");
}

#[tokio::test]
async fn changes_made_at_once_are_all_kept() {
    let home = tempfile::tempdir().unwrap();
    let values = KeyValues::new(home.path().join("kv"));
    let all = (0..20).map(|n| ask(&values, "a", "kv.set", json!({"key": format!("k{n}"), "value": n})));
    for done in futures::future::join_all(all).await {
        done.unwrap();
    }
    let again = KeyValues::new(home.path().join("kv"));
    let keys = ask(&again, "a", "kv.list", json!({})).await.unwrap();
    assert_eq!(keys.as_array().unwrap().len(), 20);
}

#[test]
fn name_of_a_plugin_cannot_leave_the_directory() {
    assert_eq!(file_name("example-weather"), "example-weather.json");
    assert_eq!(file_name("../x"), "%2e%2e%2fx.json");
}
