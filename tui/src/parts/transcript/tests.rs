use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    layout::{Rect, Size},
    style::Color,
};
use serde_json::{Value, json};

use super::{
    Transcript,
    item::{Body, Item},
};
use crate::{
    parts::cursor::Move,
    theme::{ASCII, Depth, Palette, Theme, UNICODE},
};

const THEME: Theme = Theme::new(Palette::Dark, Depth::Full, &UNICODE);
const SIZE: Size = Size::new(72, 24);

fn frame(transcript: &Transcript, theme: Theme, size: Size) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(size.width, size.height)).unwrap();
    terminal.draw(|frame| transcript.draw(theme, frame.area(), frame.buffer_mut())).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let rows = buffer.content().chunks(usize::from(buffer.area.width).max(1));
    let rows = rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned());
    rows.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn shown(transcript: &mut Transcript) -> String {
    transcript.layout(SIZE, THEME);
    text(&frame(transcript, THEME, SIZE))
}

fn stored() -> Vec<Value> {
    vec![
        json!({"id": "m1", "role": "user", "createdAt": "2026-11-23T12:01:02.000Z",
            "content": {"format": 2, "parts": [{"type": "text", "text": "Make the digest *shorter*."},
                {"type": "file", "data": "data:", "mimeType": "image/png"}]}}),
        json!({"id": "m2", "role": "assistant", "createdAt": "2026-11-23T12:01:04.000Z",
            "content": {"format": 2, "metadata": {"modelId": "m"}, "parts": [
                {"type": "reasoning", "reasoning": "what is long?", "details": []},
                {"type": "tool-invocation", "toolInvocation": {"state": "result", "toolCallId": "c1",
                    "toolName": "web-search.search", "args": {"q": "ECB deposit rate"}, "result": [1, 2, 3]}},
                {"type": "tool-invocation", "toolInvocation": {"state": "result", "toolCallId": "c2",
                    "toolName": "memory.put", "args": {"key": "digest"}, "result": {"error": true, "message": "no room"}}},
                {"type": "step-start", "model": "m"},
                {"type": "text", "text": "## Digest\n\n1. **Rates** were held.\n"}]}}),
    ]
}

fn conversation() -> Transcript {
    let mut transcript = Transcript::new("editor");
    for item in stored().iter().flat_map(Item::of_message) {
        transcript.push(item);
    }
    transcript
}

fn chunk(kind: &str, payload: &Value) -> Value {
    json!({"type": kind, "runId": "r", "from": "AGENT", "payload": payload})
}

fn delta(text: &str) -> Value {
    chunk("text-delta", &json!({"id": "text-1", "text": text}))
}

#[test]
fn stored_messages_are_shown_with_calls_and_thoughts_in_a_line_each() {
    insta::assert_snapshot!(shown(&mut conversation()), @r#"
      user  12:01:02
      Make the digest *shorter*.

      · file image/png

      editor  12:01:04
      ▸ thinking (13 chars)
      ▸ tool web-search.search {"q":"ECB deposit rate"}  ✓ 3 items
      ▸ tool memory.put {"key":"digest"}  ✗ failed no room

      ## Digest

    ▶ 1. Rates were held.
    "#);
}

#[test]
fn a_call_unfolds_to_what_it_was_given_and_what_it_gave() {
    let mut transcript = conversation();
    shown(&mut transcript);
    assert!(transcript.search("tool memory"));
    transcript.toggle();
    insta::assert_snapshot!(shown(&mut transcript), @r#"
      user  12:01:02
      Make the digest *shorter*.

      · file image/png

      editor  12:01:04
      ▸ thinking (13 chars)
      ▸ tool web-search.search {"q":"ECB deposit rate"}  ✓ 3 items
    ▶ ▾ tool memory.put {"key":"digest"}  ✗ failed no room
      │ {
      │   "key": "digest"
      │ }
      │ ─
      │ {
      │   "error": true,
      │   "message": "no room"
      │ }
      │ no room

      ## Digest

      1. Rates were held.
    "#);
    assert!(matches!(&transcript.chosen().unwrap().body, Body::Call(call) if call.name == "memory.put"));
    transcript.go(Move::Left);
    assert!(!shown(&mut transcript).contains('│'));
}

#[test]
fn a_stream_is_shown_as_it_comes() {
    let mut transcript = Transcript::new("editor");
    transcript.chunk(&chunk("start", &json!({"id": "editor", "messageId": "m"})));
    transcript.chunk(&chunk("step-start", &json!({"messageId": "m", "startedAt": 1_795_470_782_302_i64})));
    transcript.chunk(&chunk("reasoning-delta", &json!({"id": "r1", "text": "thinking "})));
    transcript.chunk(&chunk("reasoning-delta", &json!({"id": "r1", "text": "hard"})));
    transcript.chunk(&delta("Let me **che"));
    transcript.chunk(&delta("ck**."));
    let call = json!({"toolCallId": "c", "toolName": "weather"});
    transcript.chunk(&chunk("tool-call-input-streaming-start", &call));
    transcript.chunk(&chunk("tool-call-delta", &json!({"toolCallId": "c", "argsTextDelta": "{\"city\":"})));
    insta::assert_snapshot!(shown(&mut transcript), @r#"
      editor  21:53:02  streaming…
      ▸ thinking (13 chars)

      Let me check.

    ▶ ▸ tool weather {"city":  ○ pending
    "#);
    transcript.chunk(&chunk("tool-call", &json!({"toolCallId": "c", "toolName": "weather", "args": {"city": "Oslo"}})));
    let failure = json!({"name": "Error", "details": {"errorMessage": "Error: no sky"}});
    transcript.chunk(&chunk("tool-error", &json!({"toolCallId": "c", "toolName": "weather", "error": failure})));
    transcript
        .chunk(&chunk("tool-call-approval", &json!({"toolCallId": "d", "toolName": "rm", "args": {"target": "x"}})));
    transcript.chunk(&chunk("error", &json!({"type": "error", "error": {"message": "model went away", "stack": "…"}})));
    let usage = json!({"inputTokens": 1000, "outputTokens": 234, "totalTokens": 1234});
    transcript.chunk(&chunk("finish", &json!({"stepResult": {"reason": "length"}, "output": {"usage": usage}})));
    transcript.chunk(&json!("[DONE]"));
    insta::assert_snapshot!(shown(&mut transcript), @r#"
      editor  21:53:02  1.2k tok
      ▸ thinking (13 chars)

      Let me check.

      ▸ tool weather {"city":"Oslo"}  ✗ failed Error: no sky
      ▸ tool rm {"target":"x"}  ‖ suspended needs approval
      ✗ model went away
    ▶ · ended: length
    "#);
    assert!(!transcript.is_streaming());
}

#[test]
fn an_approved_call_goes_on_under_the_same_heading() {
    let mut transcript = Transcript::new("editor");
    transcript.chunk(&chunk("start", &json!({})));
    transcript.chunk(&chunk("tool-call-approval", &json!({"toolCallId": "d", "toolName": "rm", "args": {}})));
    transcript.chunk(&json!("[DONE]"));
    transcript
        .chunk(&chunk("tool-result", &json!({"toolCallId": "d", "toolName": "rm", "args": {}, "result": "gone"})));
    transcript.chunk(&chunk("step-start", &json!({"messageId": "other"})));
    transcript.chunk(&delta("Done."));
    let shown = shown(&mut transcript);
    assert_eq!(shown.matches("editor").count(), 1, "{shown}");
    assert!(shown.contains("tool rm {}  ✓") && !shown.contains("approval"), "{shown}");
}

#[test]
fn what_is_read_stays_where_it_is_while_more_comes() {
    let mut transcript = conversation();
    let size = Size::new(72, 6);
    transcript.layout(size, THEME);
    assert_eq!(transcript.status(), "FOLLOW");
    transcript.scroll(-4);
    let before = text(&frame(&transcript, THEME, size));
    transcript.chunk(&chunk("start", &json!({})));
    transcript.chunk(&delta("one\n\ntwo\n\nthree"));
    transcript.layout(size, THEME);
    assert_eq!(text(&frame(&transcript, THEME, size)), before);
    assert_eq!(transcript.status(), "PAUSED +7");
    let older = json!({"id": "m0", "role": "user", "content": {"parts": [{"type": "text", "text": "a\nb\nc\nd"}]}});
    transcript.prepend(Item::of_message(&older));
    transcript.layout(size, THEME);
    let shift = |text: &str| text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(shift(&text(&frame(&transcript, THEME, size))), shift(&before));
    transcript.follow();
    assert_eq!(transcript.status(), "FOLLOW");
    transcript.chunk(&delta(" and\n\nfour"));
    transcript.layout(size, THEME);
    assert!(text(&frame(&transcript, THEME, size)).ends_with("four"));
}

#[test]
fn only_what_changed_is_rendered_again() {
    let mut transcript = conversation();
    transcript.layout(SIZE, THEME);
    let Body::Said(said) = &mut transcript.entries[1].item.body else { panic!("no text") };
    // Whoever renders it again shows it.
    said.push_str(" CHANGED");
    transcript.chunk(&delta("more"));
    assert!(!shown(&mut transcript).contains("CHANGED"));
    transcript.layout(Size::new(71, 24), THEME);
    assert!(text(&frame(&transcript, THEME, SIZE)).contains("CHANGED"));
}

#[test]
fn the_chosen_line_is_kept_when_the_width_changes() {
    let mut transcript = Transcript::new("");
    for at in 0..30 {
        transcript.push(Item::new("", Body::Said(format!("item {at} {}", "word ".repeat(30)))));
    }
    transcript.layout(SIZE, THEME);
    transcript.search("item 11 ");
    let before = transcript.chosen().map(|item| format!("{item:?}"));
    for width in [30, 100, 8, 72] {
        transcript.layout(Size::new(width, 10), THEME);
        assert_eq!(transcript.chosen().map(|item| format!("{item:?}")), before, "{width}");
    }
}

#[test]
fn a_click_unfolds_and_a_search_marks() {
    let mut transcript = conversation();
    transcript.layout(SIZE, THEME);
    assert!(transcript.click(6));
    assert!(shown(&mut transcript).contains("│ what is long?"));
    assert!(!transcript.click(23));
    assert!(!transcript.search("nowhere"));
    let plain = Theme::new(Palette::Dark, Depth::Plain, &ASCII);
    transcript.layout(SIZE, plain);
    let buffer = frame(&transcript, plain, SIZE);
    assert!(buffer.content().iter().all(|cell| cell.fg == Color::Reset));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from)
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[a-z]{1,6}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

const KINDS: [&str; 14] = [
    "start",
    "step-start",
    "text-delta",
    "reasoning-delta",
    "tool-call-input-streaming-start",
    "tool-call-delta",
    "tool-call",
    "tool-result",
    "tool-error",
    "tool-call-approval",
    "tool-output-denied",
    "error",
    "abort",
    "finish",
];

fn any_chunk() -> impl Strategy<Value = Value> {
    let kinds = proptest::sample::select(KINDS.to_vec());
    (kinds, "[ab]", any::<String>(), any_value()).prop_map(|(kind, id, text, any)| {
        chunk(
            kind,
            &json!({"id": id, "toolCallId": id, "toolName": text, "text": text, "argsTextDelta": text, "args": any,
            "result": any, "error": any, "startedAt": any}),
        )
    })
}

#[derive(Debug, Clone)]
enum Act {
    Chunk(Value),
    Go(Move),
    Toggle,
    ToggleAll,
    Scroll(isize),
    Click(u16),
    Search(String),
    Prepend(Value),
    Resize(u16, u16),
}

fn acts() -> impl Strategy<Value = Act> {
    let moves = [Move::Up, Move::Down, Move::Left, Move::Right, Move::HalfUp, Move::PageDown, Move::Top, Move::Bottom];
    prop_oneof![
        8 => any_chunk().prop_map(Act::Chunk),
        3 => proptest::sample::select(moves.to_vec()).prop_map(Act::Go),
        1 => Just(Act::Toggle),
        1 => Just(Act::ToggleAll),
        1 => (-9_isize..9).prop_map(Act::Scroll),
        1 => (0_u16..20).prop_map(Act::Click),
        1 => "[a-z]".prop_map(Act::Search),
        1 => any_value().prop_map(|value| Act::Prepend(json!({"role": "user", "content": value}))),
        1 => (0_u16..90, 0_u16..20).prop_map(|(width, height)| Act::Resize(width, height)),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_and_is_done_it_is_drawn_inside_its_area(acts in proptest::collection::vec(acts(), 0..40)) {
        let mut transcript = Transcript::new("agent");
        let mut size = Size::new(40, 10);
        for act in acts {
            let top = transcript.anchor(transcript.top());
            let is_still = transcript.is_paused && matches!(act, Act::Chunk(_));
            match act {
                Act::Chunk(chunk) => transcript.chunk(&chunk),
                Act::Go(to) => transcript.go(to),
                Act::Toggle => transcript.toggle(),
                Act::ToggleAll => transcript.toggle_all(),
                Act::Scroll(lines) => transcript.scroll(lines),
                Act::Click(line) => { transcript.click(line); }
                Act::Search(query) => { transcript.search(&query); }
                Act::Prepend(message) => transcript.prepend(Item::of_message(&message)),
                Act::Resize(width, height) => size = Size::new(width, height),
            }
            transcript.layout(size, THEME);
            let lines: usize = transcript.entries.iter().map(|entry| entry.lines().count()).sum();
            prop_assert_eq!(transcript.total(), lines);
            prop_assert!(lines == 0 || transcript.cursor.selected < lines);
            if is_still && lines > usize::from(size.height) {
                let now = transcript.anchor(transcript.top());
                prop_assert!(now.entry <= top.entry, "{now:?} {top:?} {lines} {:?} {:?} {:?}", transcript.cursor, transcript.starts, size);
            }
            let area = Rect::new(2, 2, size.width, size.height);
            let mut buffer = Buffer::empty(Rect::new(0, 0, size.width + 4, size.height + 4));
            transcript.draw(THEME, area, &mut buffer);
            for position in buffer.area.positions() {
                prop_assert!(area.contains(position) || buffer[position].symbol() == " ");
            }
        }
    }

    #[test]
    fn while_paused_chunks_of_a_new_answer_change_nothing_that_is_seen(chunks in proptest::collection::vec(any_chunk(), 1..20), up in 1_isize..9) {
        let mut transcript = conversation();
        let size = Size::new(50, 5);
        transcript.layout(size, THEME);
        transcript.scroll(-up);
        transcript.chunk(&chunk("start", &json!({})));
        let before = frame(&transcript, THEME, size);
        for chunk in &chunks {
            transcript.chunk(chunk);
            transcript.layout(size, THEME);
            prop_assert_eq!(&frame(&transcript, THEME, size), &before);
        }
    }
}
