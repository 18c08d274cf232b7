//! Workflows: the graph the host walks, and the code of its nodes.

use std::time::Duration;

use hotbay_plugin::{error::code, prelude::*, testing::End};

use crate::{
    agents::weather_agent,
    host, plugin,
    tools::{Question, weather},
};

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Num {
    value: i64,
}

/// Adds one
#[step(id = "add-one", retries = 2, timeout = "3s")]
async fn add_one(input: Num) -> Result<Num> {
    Ok(Num { value: input.value + 1 })
}

#[step(suspend = Question, resume = Num)]
async fn ask(ctx: &Ctx, input: Num) -> Result<Num> {
    if input.value > 100 {
        return ctx.bail(&json!({ "value": 100 }));
    }
    let Some(more) = ctx.resume_data::<Num>()? else { return ctx.suspend(&Question { question: "how many?".into() }) };
    let count: Num = ctx.workflow_state().await?;
    ctx.set_workflow_state(&Num { value: count.value + 1 }).await?;
    Ok(Num { value: input.value + more.value })
}

#[workflow]
fn inner() -> Workflow {
    Workflow::new("inner").then(add_one)
}

/// Does things to numbers.
#[workflow]
pub(crate) fn numbers() -> Workflow {
    Workflow::new("numbers")
        .input::<Num>()
        .output::<Num>()
        .state::<Num>()
        .then(add_one)
        .parallel(Parallel::new().and(ask).and(weather).and(weather_agent))
        .map_async(|ctx: Ctx, _both: Value| async move {
            let first: Option<Num> = ctx.step_result("add-one").await?;
            Ok(first.unwrap_or(Num { value: 0 }))
        })
        .branch(
            Branch::new().when(|num: Num| num.value > 10, add_one().id("big")).when(|num: Num| num.value <= 10, inner),
        )
        .dountil(add_one, |num: Num| num.value >= 3)
        .dowhile(
            add_one().id("again").retries(Retry::times(3).delay(Duration::from_millis(100)).factor(2.0).jitter()),
            |num: Num| num.value < 3,
        )
        .map(|num: Num| Ok(vec![num]))
        .foreach(add_one, 2)
        .sleep(Duration::from_millis(50))
        .sleep_for(|nums: Vec<Num>| Duration::from_secs(nums.len() as u64))
        .sleep_until("2030-01-01T00:00:00Z")
}

#[test]
fn workflow_graph_names_every_node() {
    let manifest = numbers().manifest();
    assert_eq!(manifest.description, "Does things to numbers.");
    let nodes = manifest.graph["nodes"].as_array().unwrap();
    let kinds: Vec<_> = nodes.iter().map(|node| node["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["step", "parallel", "map", "branch", "dountil", "dowhile", "map", "foreach", "sleep", "sleep", "sleepUntil"]
    );
    assert_eq!(nodes[0]["retries"]["attempts"], 2);
    assert_eq!(nodes[0]["timeoutMs"], 3000);
    assert_eq!(nodes[1]["nodes"][1], json!({ "type": "tool", "id": "weather", "tool": "weather" }));
    assert_eq!(nodes[3]["arms"][1]["node"]["workflow"], "inner");
    assert_eq!(nodes[5]["node"]["retries"], json!({ "attempts": 3, "delayMs": 100, "factor": 2.0, "jitter": true }));
    assert_eq!(nodes[7]["concurrency"], 2);
    assert_eq!(nodes[9]["computed"], true);
}

#[test]
fn workflow_nodes_run_by_their_ids() {
    let host = host().step_result("add-one", json!({ "value": 7 })).workflow_state(json!({ "value": 0 }));
    let plugin = host.open(plugin(), &json!({ "base_url": "x" })).unwrap();
    let run = |node: &str, input: Value| plugin.workflow_node("numbers", node).run(&input);
    let graph = numbers().manifest().graph;

    assert_eq!(run("add-one", json!({ "value": 1 })).unwrap(), json!({ "value": 2 }));
    assert_eq!(run("big", json!({ "value": 1 })).unwrap(), json!({ "value": 2 }));
    let condition = graph["nodes"][3]["arms"][0]["condition"].as_str().unwrap();
    assert_eq!(run(condition, json!({ "value": 11 })).unwrap(), json!(true));
    assert_eq!(run(condition, json!({ "value": 10 })).unwrap(), json!(false));
    assert_eq!(run(graph["nodes"][2]["id"].as_str().unwrap(), json!({})).unwrap(), json!({ "value": 7 }));
    assert_eq!(run(graph["nodes"][9]["id"].as_str().unwrap(), json!([{ "value": 1 }])).unwrap(), json!(1000));

    assert_eq!(run("ask", json!({ "value": 1 })).unwrap().end, End::Suspended(json!({ "question": "how many?" })));
    let resumed = plugin.workflow_node("numbers", "ask").resume(json!({ "value": 5 })).run(&json!({ "value": 1 }));
    assert_eq!(resumed.unwrap(), json!({ "value": 6 }));
    assert_eq!(host.state(), Some(json!({ "value": 1 })));
    assert_eq!(run("ask", json!({ "value": 101 })).unwrap().end, End::Bailed(json!({ "value": 100 })));
    let error = run("nowhere", json!({})).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (code::UNSUPPORTED, "workflow `numbers` has no code for node `nowhere`")
    );
}

#[test]
fn two_steps_with_one_id_refuse_the_plugin() {
    fn clash() -> Workflow {
        Workflow::new("clash").then(add_one).then(ask().id("add-one"))
    }
    let error = std::panic::catch_unwind(clash).err().unwrap();
    let message = error.downcast_ref::<String>().unwrap();
    assert_eq!(message, "workflow `clash` has two nodes with the id `add-one`: give one of them another id");
}
