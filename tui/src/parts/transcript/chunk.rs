//! What an agent's stream adds to a conversation.

use serde_json::Value;

use super::{
    Transcript,
    item::{Body, Call, Heading, Item},
    message::{clock, reason, total},
};
use crate::parts::markdown::Streaming;

impl Transcript {
    /// Takes a chunk of an agent's stream in; those that are not known change nothing.
    pub(crate) fn chunk(&mut self, chunk: &Value) {
        if chunk.as_str() == Some("[DONE]") {
            return self.end(None);
        }
        let kind = chunk.get("type").and_then(Value::as_str).unwrap_or_default();
        let payload = chunk.get("payload").unwrap_or(&Value::Null);
        let word = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default();
        match kind {
            "start" => {
                self.is_new_answer = true;
                self.begin("");
            }
            "step-start" => self.begin(&payload.get("startedAt").map(clock).unwrap_or_default()),
            "text-delta" => self.add_text(word("id"), word("text")),
            "reasoning-delta" => self.add_thought(word("id"), word("text")),
            "tool-call-input-streaming-start" => self.call(payload, |call| "pending".clone_into(&mut call.state)),
            "tool-call-delta" => self.call(payload, |call| {
                let mut text = call.args.as_str().unwrap_or_default().to_owned();
                text.push_str(word("argsTextDelta"));
                call.args = text.into();
            }),
            "tool-call" => self.call(payload, |call| "running".clone_into(&mut call.state)),
            "tool-result" => self.call(payload, |call| call.end(payload.get("result").cloned().unwrap_or_default())),
            "tool-error" => self.call(payload, |call| {
                "failed".clone_into(&mut call.state);
                call.note = payload.get("error").map(reason).unwrap_or_default();
            }),
            "tool-call-approval" => self.call(payload, |call| {
                "suspended".clone_into(&mut call.state);
                "needs approval".clone_into(&mut call.note);
            }),
            "tool-call-suspended" => self.call(payload, |call| {
                "suspended".clone_into(&mut call.state);
                call.note = payload.get("suspendPayload").map(Value::to_string).unwrap_or_default();
            }),
            "tool-output-denied" => self.call(payload, |call| {
                "canceled".clone_into(&mut call.state);
                call.note = payload.pointer("/approval/reason").and_then(Value::as_str).unwrap_or("denied").to_owned();
            }),
            "error" | "tripwire" => {
                self.begin("");
                self.push(Item::new("", Body::Error(reason(payload.get("error").unwrap_or(payload)))));
            }
            "abort" => {
                self.push(Item::new("", Body::Notice("stopped".to_owned())));
                self.end(None);
            }
            "finish" => {
                let why = payload.pointer("/stepResult/reason").and_then(Value::as_str).unwrap_or("stop");
                if !matches!(why, "stop" | "error" | "unknown") {
                    self.push(Item::new("", Body::Notice(format!("ended: {why}"))));
                }
                self.end(payload.pointer("/output/usage").and_then(total));
            }
            _ => {}
        }
    }

    /// Ends an answer whose stream broke off.
    pub(crate) fn cut(&mut self, why: &str) {
        self.push(Item::new("", Body::Error(why.to_owned())));
        self.end(None);
    }

    /// Makes sure that what follows is under a heading of the assistant.
    fn begin(&mut self, time: &str) {
        self.is_streaming = true;
        let is_new = std::mem::take(&mut self.is_new_answer);
        match self.heading() {
            Some((at, heading)) if !is_new && heading.role == "assistant" => {
                let is_same = heading.is_streaming && (time.is_empty() || !heading.time.is_empty());
                heading.is_streaming = true;
                if heading.time.is_empty() {
                    time.clone_into(&mut heading.time);
                }
                if !is_same {
                    self.change(at);
                }
            }
            _ => {
                let role = "assistant".to_owned();
                let heading = Heading { role, time: time.to_owned(), is_streaming: true, ..Heading::default() };
                self.push(Item::new("", Body::Heading(heading)));
            }
        }
    }

    fn end(&mut self, tokens: Option<u64>) {
        self.is_streaming = false;
        let Some((at, heading)) = self.heading() else { return };
        heading.is_streaming = false;
        heading.tokens = tokens.or(heading.tokens);
        self.change(at);
    }

    /// Returns the last heading.
    fn heading(&mut self) -> Option<(usize, &mut Heading)> {
        let entries = self.entries.iter_mut().enumerate().rev();
        entries.filter_map(|(at, entry)| entry.item.heading().map(|heading| (at, heading))).next()
    }

    fn add_text(&mut self, id: &str, text: &str) {
        self.begin("");
        let at = self.entries.len().saturating_sub(1);
        if let Some(entry) = self.entries.last_mut()
            && entry.item.id == id
            && let Body::Answer(answer) = &mut entry.item.body
        {
            answer.push(text);
            return self.change(at);
        }
        let mut answer = Streaming::default();
        answer.push(text);
        self.push(Item::new(id, Body::Answer(answer)));
    }

    fn add_thought(&mut self, id: &str, text: &str) {
        self.begin("");
        let at = self.entries.len().saturating_sub(1);
        if let Some(entry) = self.entries.last_mut()
            && entry.item.id == id
            && let Body::Thinking(thought) = &mut entry.item.body
        {
            thought.push_str(text);
            return self.change(at);
        }
        self.push(Item::new(id, Body::Thinking(text.to_owned())));
    }

    /// Changes the call a chunk is of, and adds it if it is not known.
    fn call(&mut self, payload: &Value, change: impl FnOnce(&mut Call)) {
        self.begin("");
        let word = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default();
        let id = word("toolCallId");
        let is_it = |item: &Item| item.id == id && matches!(item.body, Body::Call(_));
        let known = self.entries.iter().rposition(|entry| is_it(&entry.item));
        let at = known.unwrap_or(self.entries.len());
        if known.is_none() {
            self.push(Item::new(id, Body::Call(Call { name: word("toolName").to_owned(), ..Call::default() })));
        }
        if let Some(Body::Call(call)) = self.entries.get_mut(at).map(|entry| &mut entry.item.body) {
            change(call);
            if let Some(args) = payload.get("args") {
                call.args = args.clone();
            }
        }
        self.change(at);
    }

    fn change(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.look = None;
        }
        self.touch(at);
    }
}

impl Item {
    const fn heading(&mut self) -> Option<&mut Heading> {
        match &mut self.body {
            Body::Heading(heading) => Some(heading),
            _ => None,
        }
    }
}
