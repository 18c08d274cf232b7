use std::collections::HashSet;

use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    layout::{Position, Rect, Size},
    style::{Color, Modifier},
};
use serde_json::{Value, json};

use super::{Span, Spans, View, Waterfall, draw::axis};
use crate::{
    parts::cursor::Move,
    theme::{ASCII, Depth, Palette, Theme, UNICODE},
};

const THEME: Theme = Theme::new(Palette::Dark, Depth::Full, &UNICODE);

fn span(id: &str, parent: Option<&str>, name: &str, kind: &str, times: (u64, u64)) -> Value {
    let at = |ms: u64| format!("2026-11-23T12:00:{:02}.{:03}Z", ms / 1000, ms % 1000);
    json!({"spanId": id, "parentSpanId": parent, "name": name, "spanType": kind, "startedAt": at(times.0),
        "endedAt": at(times.1), "status": "success", "attributes": {}})
}

fn trace() -> Value {
    let mut spans = vec![
        span("a", None, "workflow run: 'triage-mail'", "workflow_run", (0, 3200)),
        span("b", Some("a"), "workflow step: 'classify'", "workflow_step", (40, 2600)),
        span("c", Some("b"), "agent run: 'triage'", "agent_run", (100, 2500)),
        span("d", Some("c"), "llm: 'gpt-large'", "model_generation", (150, 1050)),
        span("e", Some("c"), "tool: 'mail.get'", "tool_call", (1100, 1500)),
        span("f", Some("c"), "llm: 'gpt-large'", "model_generation", (1600, 2400)),
        span("g", Some("a"), "validate $.label", "workflow_step", (2650, 2700)),
        span("h", Some("a"), "retry", "workflow_step", (2700, 3200)),
    ];
    spans[3]["attributes"] = json!({"completionStartTime": "2026-11-23T12:00:00.550Z",
        "usage": {"inputTokens": 1014, "outputTokens": 186}});
    spans[5]["attributes"] = json!({"usage": {"inputTokens": 800, "outputTokens": 100}});
    spans[6]["error"] = json!({"message": "schema mismatch"});
    spans[6]["status"] = "error".into();
    spans[7]["endedAt"] = Value::Null;
    spans[7]["status"] = "running".into();
    spans.reverse();
    json!({"traceId": "t", "spans": spans})
}

fn waterfall() -> Waterfall {
    let mut waterfall = Waterfall::default();
    waterfall.set(Spans::of(&trace()));
    waterfall
}

fn frame(waterfall: &Waterfall, theme: Theme, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| waterfall.draw(theme, frame.area(), frame.buffer_mut())).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let rows = buffer.content().chunks(usize::from(buffer.area.width).max(1));
    let rows = rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned());
    rows.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn chosen(waterfall: &Waterfall) -> &str {
    waterfall.chosen().map_or("", |span| &span.id)
}

const SIZE: Size = Size::new(100, 10);

#[test]
fn spans_are_drawn_in_time_with_what_they_cost() {
    let mut waterfall = waterfall();
    waterfall.go(Move::Down, SIZE);
    insta::assert_snapshot!(text(&frame(&waterfall, THEME, 110, 10)), @r"
        SPAN                                  TOK  0                  1.0 s              2.0 s              3.2 s
      ▾ workflow run triage-mail             2.1k  ██████████████████████████████████████████████████████████████
    ▶  ▾ workflow step classify              2.1k  ███████████████████████████████████████████████████ 2.6 s
        ▾ agent run triage                   2.1k   ████████████████████████████████████████████████ 2.4 s
         · llm gpt-large                     1.2k    ░░░░░░░░░██████████ 900 ms
         · tool mail.get                                                █████████ 400 ms
         · llm gpt-large                      900                                 ████████████████ 800 ms
     ✗ · validate $.label                                                       50 ms schema mismatch ██
     ● · retry                                                                           500 ms so far ██████████
    ");
}

#[test]
fn a_narrow_waterfall_has_names_and_bars_only() {
    insta::assert_snapshot!(text(&frame(&waterfall(), Theme::new(Palette::Dark, Depth::Plain, &ASCII), 60, 10)), @r"
        SPAN                       0                       3.2 s
    > - workflow run triage-mail   #############################
       - workflow step classify    ######################## 2.6…
        - agent run triage         ####################### 2.4 s
         . llm gpt-large            ::::##### 900 ms
         . tool mail.get                    ##### 400 ms
         . llm gpt-large                         ######## 800 ms
     x . validate $.label            50 ms schema mismatch #
     * . retry                               500 ms so far #####
    ");
}

#[test]
fn a_flame_has_a_level_a_row() {
    let mut waterfall = waterfall();
    waterfall.show(View::Flame);
    insta::assert_snapshot!(text(&frame(&waterfall, THEME, 80, 10)), @r"
    0                        1.0 s                    2.0 s                    3.2 s
    │workflow run triage-mail───────────────────────────────────────────────────────
     │workflow step classify───────────────────────────────────────── ││retry───────
      │agent run triage────────────────────────────────────────────
       │llm gpt-large──────────│tool mail…  │llm gpt-large──────
    ");
    waterfall.go(Move::Down, SIZE);
    assert_eq!(chosen(&waterfall), "b");
    waterfall.go(Move::Right, SIZE);
    assert_eq!(chosen(&waterfall), "g");
    assert!(waterfall.click(Position::new(40, 4), Rect::new(0, 0, 80, 10)));
    assert_eq!(chosen(&waterfall), "f");
}

#[test]
fn a_tree_says_what_there_is_to_say() {
    let mut waterfall = waterfall();
    waterfall.show(View::Tree);
    insta::assert_snapshot!(text(&frame(&waterfall, THEME, 100, 10)), @r"
        SPAN                                                 TIME     TOK  STATE
    ▶ ▾ workflow run triage-mail                            3.2 s    2.1k  success  workflow_run
       ▾ workflow step classify                             2.6 s    2.1k  success  workflow_step
        ▾ agent run triage                                  2.4 s    2.1k  success  agent_run
         · llm gpt-large                                   900 ms    1.2k  success  model_generation
         · tool mail.get                                   400 ms          success  tool_call
         · llm gpt-large                                   800 ms     900  success  model_generation
     ✗ · validate $.label                                   50 ms          error  workflow_step  schema…
     ● · retry                                             500 ms          running  workflow_step
    ");
}

#[test]
fn what_is_folded_is_one_row_and_has_the_tokens_of_all() {
    let mut waterfall = waterfall();
    waterfall.go(Move::Down, SIZE);
    waterfall.go(Move::Left, SIZE);
    assert_eq!(waterfall.position(), (2, 4));
    let shown = text(&frame(&waterfall, THEME, 110, 10));
    assert!(shown.contains("▶  ▸ workflow step classify"), "{shown}");
    assert!(shown.lines().nth(2).is_some_and(|row| row.contains("2.1k")), "{shown}");
    waterfall.go(Move::Right, SIZE);
    waterfall.go(Move::Right, SIZE);
    assert_eq!((chosen(&waterfall), waterfall.position()), ("c", (3, 8)));
    waterfall.toggle_all();
    assert_eq!((chosen(&waterfall), waterfall.position()), ("a", (1, 1)));
}

#[test]
fn errors_and_hits_are_found_where_they_are_folded_away() {
    let mut waterfall = waterfall();
    waterfall.toggle_all();
    assert!(waterfall.next_error());
    assert_eq!(chosen(&waterfall), "g");
    assert!(!waterfall.next_error());
    assert!(waterfall.search("GPT"));
    assert_eq!(chosen(&waterfall), "d");
    assert!(waterfall.next_hit());
    assert_eq!(chosen(&waterfall), "f");
    assert!(waterfall.previous_hit());
    assert_eq!(chosen(&waterfall), "d");
    assert!(!waterfall.search("nowhere"));
    let buffer = frame(&waterfall, Theme::new(Palette::Dark, Depth::Plain, &ASCII), 110, 10);
    assert!(buffer.content().iter().all(|cell| cell.fg == Color::Reset));
    assert!(buffer.content().iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)));
}

#[test]
fn what_is_chosen_and_folded_stays_when_more_comes() {
    let mut waterfall = waterfall();
    waterfall.go(Move::Down, SIZE);
    waterfall.toggle();
    waterfall.go(Move::Bottom, SIZE);
    let mut more = trace();
    more["spans"].as_array_mut().unwrap().push(span("z", Some("a"), "early", "generic", (10, 20)));
    waterfall.set(Spans::of(&more));
    assert_eq!((chosen(&waterfall), waterfall.position()), ("h", (5, 5)));
}

#[test]
fn the_axis_has_round_steps() {
    assert_eq!(axis(3200.0, 60), "0                 1.0 s              2.0 s             3.2 s");
    assert_eq!(axis(87.0, 40), "0                     50 ms        87 ms");
    assert_eq!(axis(0.0, 10), "    0.0 ms");
    for total in [f64::INFINITY, f64::MAX, f64::MIN_POSITIVE / 8.0, f64::MIN_POSITIVE] {
        assert_eq!(axis(total, 40).chars().count(), 40, "{total}");
    }
}

#[test]
fn names_with_escape_sequences_are_harmless() {
    let mut waterfall = Waterfall::default();
    let name = "a\u{1b}[31m\u{202e}b".to_owned();
    waterfall.set(Spans::new(vec![Span { id: "a".to_owned(), name, ..Span::default() }]));
    assert!(text(&frame(&waterfall, THEME, 80, 3)).contains("a [31mb"));
}

#[test]
fn spans_that_are_each_others_parents_are_shown_once() {
    let ring = json!([
        span("a", Some("b"), "a", "x", (0, 1)), span("b", Some("a"), "b", "x", (0, 1)),
        span("c", Some("c"), "c", "x", (0, 1)), span("d", Some("gone"), "d", "x", (0, 1)),
        {"spanId": "e", "startedAt": "never"}, {"name": "no id"}, 3,
    ]);
    let spans = Spans::of(&ring);
    assert_eq!(spans.len(), 5);
    assert!(Spans::of(&Value::Null).len() == 0);
}

fn some_spans() -> impl Strategy<Value = Vec<Span>> {
    let number = prop_oneof![4 => 0.0..1e4_f64, 1 => any::<f64>()];
    let span = (
        0_u8..30,
        proptest::option::of(0_u8..30),
        any::<String>(),
        number.clone(),
        proptest::option::of(number.clone()),
        proptest::option::of(number),
        0_u8..3,
    );
    let span = span.prop_map(|(id, parent, name, started_ms, ended_ms, first_ms, state)| Span {
        id: id.to_string(),
        parent: parent.map(|parent| parent.to_string()),
        name,
        kind: "model_step".to_owned(),
        started_ms,
        first_ms,
        ended_ms,
        state: ["success", "error", "running"][usize::from(state)].to_owned(),
        tokens: Some(u64::from(id)),
        detail: String::new(),
    });
    proptest::collection::vec(span, 0..40)
}

#[derive(Debug, Clone)]
enum Act {
    Go(Move),
    Toggle,
    ToggleAll,
    NextError,
    Search(String),
    Click(u16, u16),
    Scroll(isize),
    Show(View),
    Set(Vec<Span>),
}

fn acts() -> impl Strategy<Value = Act> {
    let moves = [Move::Up, Move::Down, Move::Left, Move::Right, Move::HalfDown, Move::PageUp, Move::Top, Move::Bottom];
    let views = [View::Waterfall, View::Flame, View::Tree];
    prop_oneof![
        8 => proptest::sample::select(moves.to_vec()).prop_map(Act::Go),
        2 => Just(Act::Toggle),
        1 => Just(Act::ToggleAll),
        1 => Just(Act::NextError),
        1 => "[a-z]".prop_map(Act::Search),
        1 => (0_u16..120, 0_u16..30).prop_map(|(x, y)| Act::Click(x, y)),
        1 => (-9_isize..9).prop_map(Act::Scroll),
        1 => proptest::sample::select(views.to_vec()).prop_map(Act::Show),
        1 => some_spans().prop_map(Act::Set),
    ]
}

proptest! {
    #[test]
    fn every_span_is_in_the_tree_once_and_after_its_parent(given in some_spans()) {
        let total = given.len();
        let spans = Spans::new(given);
        prop_assert_eq!(spans.len(), total);
        for at in 0..spans.len() {
            prop_assert!(spans.parent(at).is_none_or(|parent| parent < at && spans.end(at) <= spans.end(parent)));
            let (from, first, to) = spans.cells(at, 50);
            prop_assert!(from <= first && first <= to && from < to && to <= 50);
        }
        let levels: HashSet<usize> = (0..spans.depths()).flat_map(|depth| spans.level(depth).to_vec()).collect();
        prop_assert_eq!(levels.len(), total);
    }

    #[test]
    fn whatever_is_done_it_is_drawn_inside_its_area(given in some_spans(), acts in proptest::collection::vec(acts(), 0..30), width in 0_u16..130, height in 0_u16..20) {
        let mut waterfall = Waterfall::default();
        waterfall.set(Spans::new(given));
        let (size, area) = (Size::new(width, height), Rect::new(2, 2, width, height));
        for act in acts {
            match act {
                Act::Go(to) => waterfall.go(to, size),
                Act::Toggle => waterfall.toggle(),
                Act::ToggleAll => waterfall.toggle_all(),
                Act::NextError => { waterfall.next_error(); }
                Act::Search(query) => { waterfall.search(&query); }
                Act::Click(x, y) => { waterfall.click(Position::new(x, y), area); }
                Act::Scroll(rows) => waterfall.scroll(rows, size),
                Act::Show(view) => waterfall.show(view),
                Act::Set(spans) => waterfall.set(Spans::new(spans)),
            }
            prop_assert_eq!(waterfall.chosen().is_some(), waterfall.spans().len() > 0);
            let mut buffer = Buffer::empty(Rect::new(0, 0, width + 4, height + 4));
            waterfall.draw(THEME, area, &mut buffer);
            for position in buffer.area.positions() {
                prop_assert!(area.contains(position) || buffer[position].symbol() == " ");
            }
        }
    }
}
