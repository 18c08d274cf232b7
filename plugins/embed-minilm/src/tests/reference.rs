//! The real weights, held against values of another implementation.
//!
//! `reference.json` has vectors computed in double precision by a forward pass in `NumPy`, written for
//! this check alone.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use hotbay_plugin::testing::TestHost;
use serde::Deserialize;
use serde_json::json;

use super::{ID, cosine, open};

#[derive(Deserialize)]
struct Known {
    text: String,
    vector: Vec<f32>,
}

#[expect(clippy::disallowed_methods, reason = "not the host: where the weights are")]
fn weights() -> PathBuf {
    std::env::var_os("HOTBAY_TEST_MINILM").expect("it was there when this was built").into()
}

#[test]
fn vectors_are_those_of_the_reference() {
    let known: Vec<Known> = serde_json::from_str(include_str!("reference.json")).unwrap();
    let texts: Vec<&str> = known.iter().map(|known| known.text.as_str()).collect();
    let vectors = open(&weights()).embed(ID, &texts).unwrap();
    for (known, vector) in known.iter().zip(vectors) {
        let cosine = cosine(&known.vector, &vector);
        assert!(cosine > 0.9999, "{:?}: {cosine}", known.text);
        let off = known.vector.iter().zip(&vector).map(|(known, found)| (known - found).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5, "{:?}: off by {off}", known.text);
    }
}

#[test]
fn what_means_the_same_is_nearer_than_what_does_not() {
    let plugin = open(&weights());
    let triples = [
        [
            "How do I reset my password?",
            "I forgot my login credentials, how can I change them?",
            "The cake needs 30 minutes in the oven.",
        ],
        [
            "A man is playing a guitar",
            "Someone performs music on a string instrument",
            "The stock market fell sharply today",
        ],
        ["The server returns error 500", "The backend crashes with an internal failure", "My cat sleeps on the sofa"],
        ["It will rain in Paris tomorrow", "Tomorrow's forecast for Paris: showers", "Rust has no garbage collector"],
        ["The meeting was moved to Friday", "We will meet on Friday instead", "Penguins cannot fly"],
    ];
    for triple in triples {
        let vectors = plugin.embed(ID, &triple).unwrap();
        let (near, far) = (cosine(&vectors[0], &vectors[1]), cosine(&vectors[0], &vectors[2]));
        assert!(near > far + 0.2, "{triple:?}: {near} and {far}");
    }
}

#[test]
fn question_finds_its_answer_among_many_texts() {
    let plugin = open(&weights());
    let mut texts: Vec<String> = (0..199).map(|place| format!("Entry {place}: paid {} euros", place * 7)).collect();
    texts.insert(100, "The spare key is under the blue flower pot.".into());
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = plugin.embed(ID, &texts).unwrap();
    let question = plugin.embed(ID, &["Where can I find the spare key?"]).unwrap().remove(0);
    let nearness = |place: &usize| cosine(&vectors[*place], &question);
    let best = (0..200).max_by(|one, other| nearness(one).total_cmp(&nearness(other)));
    assert_eq!(best, Some(100));
}

#[test]
fn callers_at_once_get_what_each_gets_alone() {
    let plugin = open(&weights());
    let texts = ["one fine day", "another rainy night", "", "🚀 Launch day!"];
    let alone: Vec<_> = texts.iter().map(|text| plugin.embed(ID, &[text]).unwrap().remove(0)).collect();
    thread::scope(|scope| {
        for (text, alone) in texts.iter().zip(&alone) {
            let plugin = &plugin;
            scope.spawn(move || {
                for _ in 0..3 {
                    assert!(cosine(&plugin.embed(ID, &[text]).unwrap()[0], alone) > 0.999_99, "{text:?}");
                }
            });
        }
    });
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let lines: Vec<_> = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM")).collect();
    lines.join(", ").replace('\t', " ")
}

/// Returns the CPU time of this process, which another one's work does not change.
fn cpu() -> Duration {
    let status = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = status.rsplit(')').next().unwrap().split_whitespace().collect();
    // In ticks, of which Linux has a hundred a second: user, then system.
    Duration::from_millis(fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>() * 10)
}

/// Prints the figures of the crate's documentation:
/// `cargo test --release -p hotbay-embed-minilm speed -- --nocapture`.
#[test]
fn speed_is_printed() {
    let plugin = TestHost::new().open(crate::plugin(), &json!({ "model": weights(), "threads": 1 })).unwrap();
    println!("before: {}", memory());
    let (start, before) = (Instant::now(), cpu());
    plugin.embed(ID, &["first"]).unwrap();
    println!("first text, with loading: {:?}, {:?} of CPU; {}", start.elapsed(), cpu() - before, memory());
    // In calls that end soon on any machine: the test bed waits for ten seconds.
    for (words, count, at_once) in [(1, 50, 50), (18, 200, 50), (198, 20, 5)] {
        let texts: Vec<_> = (0..count).map(|place| format!("{place}{}", " word".repeat(words - 1))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (start, before) = (Instant::now(), cpu());
        for texts in texts.chunks(at_once) {
            assert_eq!(plugin.embed(ID, texts).unwrap().len(), at_once);
        }
        let [rate, cpu_rate] = [start.elapsed(), cpu() - before].map(|time| count as f64 / time.as_secs_f64());
        println!("{words} words, one thread: {rate:.1} texts a second, {cpu_rate:.1} for each of CPU; {}", memory());
    }
    let (start, before) = (Instant::now(), cpu());
    plugin.embed(ID, &["Where can I find the spare key?"]).unwrap();
    println!("a lone question: {:?}, {:?} of CPU", start.elapsed(), cpu() - before);
}
