//! Messages that were acknowledged, kept track of outside of the host.

use std::collections::BTreeMap;

use anyhow::Context;
use hotbay_tests::TestHost;
use serde_json::{Value, json};

/// Messages of one write.
const MESSAGES: usize = 3;

/// What a host has acknowledged, write by write.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    acknowledged: Vec<String>,
}

impl Ledger {
    /// Saves a few messages as one write.
    ///
    /// Returns the status and the error's sentence; an error if no answer comes.
    pub(super) async fn save(&mut self, host: &TestHost, name: &str) -> anyhow::Result<(u16, String)> {
        let message = |number: usize| {
            json!({"id": format!("{name}/{number}"), "threadId": "t", "resourceId": "u", "role": "user",
                "content": format!("{name} {}", "x".repeat(2000))})
        };
        let body = json!({"messages": (0..MESSAGES).map(message).collect::<Vec<_>>()});
        let (status, answer) = host.post_json("/api/memory/save-messages", &body).await?;
        if status == 200 {
            self.acknowledged.push(name.to_owned());
        }
        Ok((status, answer["error"].as_str().unwrap_or_default().to_owned()))
    }

    /// Makes the thread that messages are saved to.
    pub(super) async fn begin(host: &TestHost) -> anyhow::Result<()> {
        let body = json!({"threadId": "t", "resourceId": "u"});
        let (status, answer) = host.post_json("/api/memory/threads", &body).await?;
        anyhow::ensure!(status == 200, "{status}: {answer}");
        Ok(())
    }

    /// Holds the host to what it has acknowledged, and to whole writes; returns how many there are.
    pub(super) async fn check(&self, host: &TestHost) -> usize {
        let stored = stored(host).await.unwrap();
        for name in &self.acknowledged {
            assert_eq!(stored.get(name), Some(&MESSAGES), "{name} was acknowledged");
        }
        for (name, messages) in &stored {
            assert_eq!(*messages, MESSAGES, "{name} is there in part");
        }
        stored.len()
    }

    /// How many writes were acknowledged.
    pub(super) fn len(&self) -> usize {
        self.acknowledged.len()
    }
}

/// How many messages of each write are there.
async fn stored(host: &TestHost) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut stored = BTreeMap::new();
    for page in 0.. {
        let path = format!("/api/memory/threads/t/messages?page={page}&perPage=100");
        let (status, answer) = host.get_json(&path).await?;
        if status == 404 {
            break;
        }
        for message in answer["messages"].as_array().with_context(|| format!("{status}: {answer}"))? {
            let id = message["id"].as_str().context("a message has an id")?;
            let (name, _) = id.split_once('/').context("the id is one of ours")?;
            *stored.entry(name.to_owned()).or_default() += 1;
        }
        if answer["hasMore"] != Value::Bool(true) {
            break;
        }
    }
    Ok(stored)
}
