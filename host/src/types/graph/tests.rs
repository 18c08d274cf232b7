use serde_json::json;

use super::*;

fn manifest(nodes: Value) -> WorkflowManifest {
    WorkflowManifest { id: "w".into(), graph: json!({ "nodes": nodes }), ..WorkflowManifest::default() }
}

fn read(nodes: Value) -> Graph {
    Graph::read(&manifest(nodes)).unwrap()
}

#[track_caller]
fn check_refused(nodes: Value, expected: &str) {
    assert_eq!(Graph::read(&manifest(nodes)).unwrap_err(), expected);
}

#[test]
fn an_id_that_stands_twice_has_two_keys() {
    let graph = read(json!([{"type": "step", "id": "a"}, {"type": "parallel", "id": "p", "nodes": [
        {"type": "step", "id": "a"}, {"type": "step", "id": "b"}]}]));
    let mut keys = Vec::new();
    graph.visit(&mut |node| keys.push(node.key.to_string()));
    assert_eq!(keys, ["a", "p", "a~2", "b"]);
}

#[test]
fn the_hash_is_of_the_structure_alone() {
    let one = read(json!([{"type": "step", "id": "a", "description": "x", "timeoutMs": 5}]));
    let same = read(json!([{"type": "step", "id": "a", "retries": {"attempts": 2}}]));
    let other = read(json!([{"type": "step", "id": "b"}]));
    let longer = read(json!([{"type": "step", "id": "a"}, {"type": "map", "id": "m"}]));
    assert_eq!(one.hash, same.hash);
    assert_ne!(one.hash, other.hash);
    assert_ne!(one.hash, longer.hash);
}

#[test]
fn nested_workflows_are_found_wherever_they_are() {
    let graph = read(json!([
        {"type": "foreach", "id": "f", "concurrency": 2, "node": {"type": "workflow", "id": "x", "workflow": "inner"}},
        {"type": "workflow", "id": "y", "workflow": "inner"},
        {"type": "workflow", "id": "z", "workflow": "outer"}]));
    assert_eq!(graph.nested(), [Arc::from("inner"), Arc::from("outer")]);
}

#[test]
fn waits_grow_and_are_bounded() {
    let retry = Retry { attempts: 9, delay_ms: 100, factor: 2.0, max_delay_ms: Some(500), jitter: false };
    let waits: Vec<u128> = (1..=5).map(|failures| retry.wait(failures).as_millis()).collect();
    assert_eq!(waits, [100, 200, 400, 500, 500]);
    let jittered = Retry { jitter: true, ..retry };
    assert!((1..100).all(|failures| jittered.wait(failures) <= Duration::from_millis(500)));
    assert_eq!(Retry::default().wait(u32::MAX), Duration::ZERO);
}

#[test]
fn what_is_no_graph_is_refused_with_a_reason() {
    check_refused(json!(5), "the graph has no `nodes`");
    check_refused(json!([{"type": "step"}]), r#"a node has no `id`: {"type":"step"}"#);
    check_refused(
        json!([{"type": "warp", "id": "a"}]),
        "node `a` is of the type `warp`, which this host does not know",
    );
    check_refused(
        json!([{"type": "foreach", "id": "f", "node": {"type": "map", "id": "m"}}]),
        "what node `m` repeats must be a step, a tool, an agent or a workflow",
    );
}

#[test]
fn endless_nesting_is_refused() {
    let mut node = json!({"type": "step", "id": "a"});
    for depth in 0..40 {
        node = json!({"type": "parallel", "id": format!("p{depth}"), "nodes": [node]});
    }
    check_refused(json!([node]), "its nodes are nested more than 32 deep");
}
