use std::collections::HashSet;

use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    layout::{Position, Rect, Size},
    style::Modifier,
};
use serde_json::{Value, json};

use super::{Graph, Place, Shape};
use crate::{
    parts::cursor::Move,
    theme::{ASCII, Depth, Palette, Theme, UNICODE},
};

const THEME: Theme = Theme::new(Palette::Dark, Depth::Full, &UNICODE);

fn step(id: &str) -> Value {
    json!({"type": "step", "step": {"id": id, "canSuspend": false}})
}

fn digest() -> Graph {
    let graph = json!([
        step("fetch"),
        {"type": "parallel", "steps": [step("dedupe"), step("rank")]},
        step("summarise"), step("approve"), step("publish"), step("notify"),
    ]);
    let steps = json!({
        "fetch": {"status": "success", "startedAt": 1000, "endedAt": 2200},
        "dedupe": {"status": "success", "startedAt": 2200, "endedAt": 2300},
        "rank": {"status": "failed", "startedAt": 2200, "endedAt": 2600, "error": {"message": "no model", "name": "Error"}},
        "summarise": {"status": "success", "startedAt": 2600, "endedAt": 40600, "metadata": {"iterationCount": 3}},
        "approve": {"status": "suspended", "startedAt": 40600, "suspendedAt": 40700},
    });
    Graph::of(&graph, &steps)
}

fn all_kinds() -> Graph {
    let graph = json!([
        {"type": "mapping", "id": "mapping_a_0", "mapConfig": "x"},
        {"type": "conditional", "steps": [step("big"), step("small")], "serializedConditions": [
            {"id": "big-condition", "fn": "async ({ inputData }) => inputData.value > 10"},
            {"id": "small-condition", "fn": "[code sizes/1/condition-1]"}]},
        {"type": "sleep", "id": "sleep_1", "duration": 5000},
        {"type": "sleepUntil", "id": "sleep_2", "date": "2027-01-01"},
        {"type": "loop", "step": step("inc"), "serializedCondition": {"fn": "({ inputData }) => inputData.value >= 3"},
            "loopType": "dountil"},
        {"type": "foreach", "step": step("double"), "opts": {"concurrency": 2}},
        {"type": "workflow", "id": "inner", "workflowId": "inner", "serializedStepFlow": [step("ask"), step("say")]},
        {"type": "step", "step": {"id": "search", "component": "TOOL"}},
    ]);
    let steps = json!({
        "double": {"status": "success", "payload": [1, 2, 3], "output": [2, 4, 6], "startedAt": 0, "endedAt": 3},
        "inner": {"status": "running", "suspendedAt": 5},
        "inner.ask": {"status": "suspended"},
    });
    Graph::of(&graph, &steps)
}

fn frame(graph: &Graph, place: &Place, theme: Theme, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| graph.draw(place, theme, frame.area(), frame.buffer_mut())).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let rows = buffer.content().chunks(usize::from(buffer.area.width).max(1));
    let rows = rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned());
    rows.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn at(id: &str) -> Place {
    Place { selected: Some(id.to_owned()), ..Place::default() }
}

#[test]
fn a_run_is_drawn_with_its_states_and_goes_on_in_the_next_row() {
    insta::assert_snapshot!(text(&frame(&digest(), &at("approve"), THEME, 74, 16)), @r"
      ┌────────┐        ┌─────────┐                  ┌──────────────────┐
      │✓ fetch │────┬──▶│✓ dedupe │─────────────┬───▶│✓ summarise       │──┐
      │  1.2 s │    │   │  100 ms │             │    │  38.0 s  3 times │  │
      └────────┘    │   └─────────┘             │    └──────────────────┘  │
                    │                           │                          │
                    │   ┌───────────────────┐   │                          │
                    └──▶│✗ rank             │───┘                          │
                        │  400 ms  no model │                              │
                        └───────────────────┘                              │
    ┌──────────────────────────────────────────────────────────────────────┘
    │ ┌──────────┐    ┌──────────┐    ┌─────────┐
    └▶│‖ approve │───▶│○ publish │───▶│○ notify │
      │          │    │          │    │         │
      └──────────┘    └──────────┘    └─────────┘
    ");
}

#[test]
fn every_kind_of_step_is_drawn() {
    insta::assert_snapshot!(text(&frame(&all_kinds(), &Place::default(), THEME, 90, 24)), @r"
                        if value > 10
      ┌────────┐        ┌───────────┐         ┌──────────────┐
      │○ map   │────┬──▶│○ big      │────┬───▶│○ sleep 5.0 s │──┐
      │        │    │   │           │    │    │              │  │
      └────────┘    │   └───────────┘    │    └──────────────┘  │
                    │   if condition 2   │                      │
                    │   ┌────────────┐   │                      │
                    └──▶│○ small     │───┘                      │
                        │            │                          │
                        └────────────┘                          │
    ┌───────────────────────────────────────────────────────────┘
    │ ┌─────────────────────────┐    ┌────────────────────┐    ┌───────────────────┐
    └▶│○ sleep until 2027-01-01 │───▶│○ inc               │───▶│✓ double           │──┐
      │                         │    │                    │    │  3.0 ms  3/3      │  │
      └─────────────────────────┘    └ ↻ until value >= 3 ┘    └ ↻ each, 2 at once ┘  │
    ┌─────────────────────────────────────────────────────────────────────────────────┘
    │ ┌────────────┐    ┌─────────┐
    └▶│‖ inner     │───▶│○ search │
      │  0/2 steps │    │         │
      └────────────┘    └─────────┘
    ");
}

#[test]
fn where_boxes_do_not_fit_there_is_a_list_with_what_is_inside() {
    insta::assert_snapshot!(text(&frame(&all_kinds(), &at("inner.ask"), THEME, 59, 20)), @r"
      ○ map  pending
      branch
        ○ big  pending  if value > 10
        ○ small  pending  if condition 2
      ○ sleep 5.0 s  pending
      ○ sleep until 2027-01-01  pending
      ○ inc  pending  ↻ until value >= 3
      ✓ double  success  ↻ each, 2 at once  3.0 ms  3/3
      ‖ inner  suspended  workflow  0/2 steps
    ▶   ‖ ask  suspended
        ○ say  pending
      ○ search  pending  tool
    ");
    let place = Place { is_list: true, ..at("rank") };
    let list = text(&frame(&digest(), &place, Theme::new(Palette::Dark, Depth::Plain, &ASCII), 100, 20));
    assert!(list.contains(">   x rank  failed  400 ms  no model"), "{list}");
}

#[test]
fn what_is_chosen_stands_out_without_colours() {
    let buffer = frame(&digest(), &at("fetch"), Theme::new(Palette::Dark, Depth::Plain, &ASCII), 74, 16);
    let is_reversed = |x: u16, y: u16| buffer[(x, y)].modifier.contains(Modifier::REVERSED);
    assert!((5..10).all(|x| is_reversed(x, 1)));
    assert!(!buffer.content().iter().any(|cell| cell.fg != ratatui::style::Color::Reset));
}

#[test]
fn a_workflow_whose_step_waits_is_said_to_wait() {
    let graph = all_kinds();
    assert_eq!(graph.node("inner").map(|node| node.state.as_str()), Some("suspended"));
    assert_eq!(graph.node("inner").map(|node| node.detail.as_str()), Some("0/2 steps"));
    assert_eq!(graph.notable().map(|node| node.id.as_str()), Some("inner.ask"));
}

#[test]
fn moves_and_clicks_choose_what_is_drawn_there() {
    let graph = digest();
    let (size, mut place) = (Size::new(74, 8), Place::default());
    let mut go = |to: Move| {
        graph.go(&mut place, to, size);
        (place.selected.clone().unwrap_or_default(), place.scroll)
    };
    assert_eq!(go(Move::Right), ("fetch".to_owned(), 0));
    assert_eq!(go(Move::Right), ("dedupe".to_owned(), 0));
    assert_eq!(go(Move::Down).0, "rank");
    assert_eq!(go(Move::Up).0, "dedupe");
    assert_eq!(go(Move::Bottom).0, "notify");
    assert_eq!(go(Move::Left).0, "publish");
    assert_eq!(go(Move::Top), ("fetch".to_owned(), 0));
    let area = Rect::new(3, 2, 74, 16);
    assert_eq!(graph.at(&place, Position::new(8, 3), area).map(|node| node.id.as_str()), Some("fetch"));
    assert_eq!(graph.at(&place, Position::new(3, 3), area), None);
}

#[test]
fn garbage_is_an_empty_graph() {
    for garbage in [json!(null), json!({}), json!([1, null, {"type": "loop"}, {"type": "parallel", "steps": 3}])] {
        assert!(Graph::of(&garbage, &json!([1])).is_empty(), "{garbage}");
    }
}

fn entries() -> impl Strategy<Value = Vec<Value>> {
    let id = || "[a-z漢]{1,12}";
    let leaf = prop_oneof![
        4 => id().prop_map(|id| step(&id)),
        1 => id().prop_map(|id| json!({"type": "sleep", "id": id, "duration": 3})),
        1 => id().prop_map(|id| json!({"type": "foreach", "step": step(&id), "opts": {"concurrency": 3}})),
        1 => id().prop_map(|id| json!({"type": "loop", "step": step(&id), "serializedCondition": {"fn": "x > 1"}})),
    ];
    let entry = leaf.prop_recursive(3, 20, 4, move |inner| {
        let steps = proptest::collection::vec(inner, 1..4);
        prop_oneof![
            steps.clone().prop_map(|steps| json!({"type": "parallel", "steps": steps})),
            steps.clone().prop_map(|steps| {
                let conditions: Vec<Value> = steps.iter().map(|_| json!({"fn": "() => value > 10"})).collect();
                json!({"type": "conditional", "steps": steps, "serializedConditions": conditions})
            }),
            ("[a-z]{1,5}", steps)
                .prop_map(|(id, steps)| json!({"type": "workflow", "id": id, "serializedStepFlow": steps})),
        ]
    });
    proptest::collection::vec(entry, 0..12)
}

const MOVES: [Move; 10] = [
    Move::Up,
    Move::Down,
    Move::Left,
    Move::Right,
    Move::HalfUp,
    Move::HalfDown,
    Move::PageUp,
    Move::PageDown,
    Move::Top,
    Move::Bottom,
];

proptest! {
    #[test]
    fn any_graph_is_drawn_inside_its_area(entries in entries(), width in 0_u16..140, height in 0_u16..30, scroll in 0_usize..60, is_list: bool) {
        let graph = Graph::of(&json!(entries), &Value::Null);
        let mut buffer = Buffer::empty(Rect::new(0, 0, width + 4, height + 4));
        let place = Place { scroll, is_list, selected: graph.nodes().first().map(|node| node.id.clone()) };
        graph.draw(&place, THEME, Rect::new(2, 2, width, height), &mut buffer);
        for y in 0..height + 4 {
            for x in 0..width + 4 {
                let is_inside = (2..width + 2).contains(&x) && (2..height + 2).contains(&y);
                prop_assert!(is_inside || buffer[(x, y)].symbol() == " ");
            }
        }
        graph.draw(&place, THEME, Rect::new(width, 1, 90, 60), &mut buffer);
    }

    #[test]
    fn every_step_is_reached_by_arrows_and_seen_then(entries in entries(), width in 60_u16..140, height in 6_u16..30, is_list: bool) {
        let graph = Graph::of(&json!(entries), &Value::Null);
        let ids: HashSet<&str> = graph.nodes().iter().map(|node| node.id.as_str()).collect();
        prop_assume!(ids.len() == graph.nodes().len());
        let size = Size::new(width, height);
        let mut first = Place { is_list, ..Place::default() };
        graph.go(&mut first, Move::Top, size);
        let mut seen = HashSet::new();
        let mut open = vec![first];
        while let Some(place) = open.pop() {
            if !seen.insert(place.selected.clone()) {
                continue;
            }
            let lines = place.selected.as_deref().and_then(|id| graph.shape(is_list, size).lines_of(graph.index(id)?));
            if let Some((top, bottom)) = lines {
                prop_assert!(place.scroll <= top.max(bottom + 1 - usize::from(height).min(bottom + 1)), "{place:?}");
                prop_assert!(bottom < place.scroll + usize::from(height), "{place:?}");
            }
            for to in MOVES {
                let mut next = place.clone();
                graph.go(&mut next, to, size);
                open.push(next);
            }
        }
        let drawn: Vec<usize> = match graph.shape(is_list, size) {
            Shape::Boxes(layout) => layout.boxes.iter().map(|placed| placed.node).collect(),
            Shape::List(rows) => rows.iter().filter_map(|row| row.node).collect(),
        };
        for node in drawn {
            let id = &graph.nodes()[node].id;
            prop_assert!(seen.contains(&Some(id.clone())), "{id} of {seen:?}");
        }
    }
}
