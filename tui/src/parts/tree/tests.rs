use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;
use ratatui::{buffer::Buffer, layout::Rect, style::Modifier};
use serde_json::json;

use super::*;
use crate::parts::frame;
use crate::theme::{ASCII, Depth, Palette, Theme, UNICODE};

fn request() -> Value {
    json!({
        "request": {
            "system": "You sort mail into folders and you say why you do so, in one sentence, always. ".repeat(6),
            "messages": [
                {"role": "user", "content": "Subject: Invoice 4411"},
                {"role": "assistant", "call": {"name": "mail.get"}},
                {"role": "tool", "content": null},
            ],
            "temperature": 0,
            "stream": true,
            "tools": ["mail.get", "mail.labels"],
            "stop": [],
        },
        "response": {"text": "漢字\u{1b}[31m\nred", "finish": null},
        "ids": (0..100).collect::<Vec<_>>(),
    })
}

fn theme() -> Theme {
    Theme::new(Palette::Dark, Depth::Sixteen, &UNICODE)
}

fn buffer(tree: &Tree, value: &Value, theme: Theme, width: u16, height: u16) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buf = Buffer::empty(area);
    tree.draw(value, theme, area, &mut buf, true);
    buf
}

fn shown(tree: &Tree, value: &Value, width: u16, height: u16) -> String {
    frame::text(&buffer(tree, value, theme(), width, height))
}

#[test]
fn the_first_levels_are_open_and_what_is_big_is_closed() {
    let value = request();
    let tree = Tree::new(&value);
    assert_snapshot!(shown(&tree, &value, 60, 12), @r#"
    ▾ request
    │   system "You sort mail into folders and you…" (474 chars)
    │ ▸ messages [3]
    │   temperature 0
    │   stream true
    │ ▸ tools [2] "mail.get", "mail.labels"
    │   stop []
    ▾ response
    │   text "漢字 [31m⏎red"
    │   finish null
    ▸ ids [100] 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 1…
    "#);
}

#[test]
fn opened_lists_show_their_items() {
    let value = request();
    let mut tree = Tree::new(&value);
    tree.search(&value, "ASSISTANT");
    tree.go(&value, Move::Left, 20);
    tree.go(&value, Move::Left, 20);
    tree.go(&value, Move::Down, 20);
    assert_eq!(tree.chosen(&value).unwrap().0, "$.request.messages[2]");
    assert_snapshot!(shown(&tree, &value, 60, 12), @r#"
    ▾ request                                                  █
    │   system "You sort mail into folders and yo…" (474 chars)█
    │ ▾ messages [3]                                           █
    │ │ ▸ 0 {role: "user", content: "Subject: Invoice 4411"}   █
    │ │ ▸ 1 {role: "assistant", call: {…}}                     █
    │ │ ▸ 2 {role: "tool", content: null}                      █
    │   temperature 0                                          █
    │   stream true                                            █
    │ ▸ tools [2] "mail.get", "mail.labels"                    █
    │   stop []                                                █
    ▾ response                                                 │
    │   text "漢字 [31m⏎red"                                   │
    "#);
}

#[test]
fn a_narrow_tree_still_shows_what_is_deep_in_it() {
    let mut value = json!("bottom");
    for _ in 0..30 {
        value = json!({ "in": value });
    }
    let mut tree = Tree::new(&value);
    tree.unfold_all(&value);
    tree.go(&value, Move::Bottom, 4);
    assert_snapshot!(shown(&tree, &value, 24, 4), @r#"
    … │ │ │ │ ▾ in         │
    … │ │ │ │ ▾ in         │
    … │ │ │ │ ▾ in         │
    … │ │ │ │   in "bottom"█
    "#);
    assert_eq!(tree.position(), (30, 30));
}

#[test]
fn left_closes_then_goes_up_and_right_opens_then_goes_in() {
    let value = request();
    let mut tree = Tree::new(&value);
    tree.go(&value, Move::Down, 10);
    tree.go(&value, Move::Down, 10);
    assert_eq!(tree.chosen(&value).unwrap().0, "$.request.messages");
    tree.go(&value, Move::Right, 10);
    tree.go(&value, Move::Right, 10);
    assert_eq!(tree.chosen(&value).unwrap().0, "$.request.messages[0]");
    tree.go(&value, Move::Left, 10);
    tree.go(&value, Move::Left, 10);
    assert_eq!(tree.chosen(&value).unwrap().0, "$.request.messages");
    tree.go(&value, Move::Left, 10);
    assert_eq!(tree.chosen(&value).unwrap(), ("$.request".to_owned(), &value["request"]));
    tree.go(&value, Move::Left, 10);
    assert_eq!(tree.position(), (1, 5));
}

#[test]
fn everything_is_opened_and_closed_with_what_is_chosen_in_sight() {
    let value = request();
    let mut tree = Tree::new(&value);
    tree.search(&value, "mail.labels");
    assert_eq!(tree.chosen(&value).unwrap().0, "$.request.tools[1]");
    tree.unfold_all(&value);
    assert_eq!(tree.chosen(&value).unwrap().0, "$.request.tools[1]");
    assert!(tree.position().1 > 110 && !tree.is_folded());
    tree.fold_all(&value);
    assert_eq!(tree.chosen(&value).unwrap().0, "$.request");
    assert!(tree.position().1 == 3 && tree.is_folded());
}

#[test]
fn a_search_goes_round_and_opens_what_it_finds() {
    let value = request();
    let mut tree = Tree::new(&value);
    assert_eq!(tree.search(&value, "mail."), 3);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push((tree.hits().unwrap().0, tree.chosen(&value).unwrap().0));
        tree.next_hit(&value);
    }
    let paths = ["$.request.messages[1].call.name", "$.request.tools[0]", "$.request.tools[1]"];
    assert_eq!(seen.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2, 3, 1]);
    assert!(seen.iter().zip(paths.iter().cycle()).all(|((_, path), expected)| path == expected), "{seen:?}");
    tree.previous_hit(&value);
    assert_eq!(tree.chosen(&value).unwrap().0, paths[0]);
    assert_eq!(tree.search(&value, "nowhere"), 0);
    assert_eq!((tree.hits(), tree.chosen(&value).unwrap().0.as_str()), (Some((0, 0)), paths[0]));
    tree.search(&value, "");
    assert_eq!(tree.hits(), None);
}

#[test]
fn what_was_found_far_into_a_long_text_is_seen_and_marked() {
    let value = json!({"log": format!("{}Needle{}", "x".repeat(5000), "y".repeat(5000))});
    let mut tree = Tree::new(&value);
    tree.search(&value, "needle");
    let line = shown(&tree, &value, 60, 1);
    assert!(line.contains("…xxxxxxxxNeedleyyy") && line.ends_with("\" (10.0k chars)"), "{line}");
    let buffer = buffer(&tree, &value, theme(), 60, 1);
    let marked = buffer.content().iter().filter(|cell| cell.modifier.contains(Modifier::UNDERLINED));
    assert_eq!(marked.map(|cell| cell.symbol()).collect::<String>(), "Needle");
}

#[test]
fn the_chosen_row_is_reversed_to_its_end_and_has_no_colours() {
    let value = request();
    let mut tree = Tree::new(&value);
    tree.go(&value, Move::Down, 10);
    let buffer = buffer(&tree, &value, theme(), 40, 5);
    for x in 0..39 {
        let cell = buffer.cell((x, 1)).unwrap();
        assert!(cell.modifier.contains(Modifier::REVERSED) && cell.fg == ratatui::style::Color::Reset, "{x}");
    }
}

#[test]
fn kinds_of_values_look_different() {
    let value = json!([null, true, 1, "null"]);
    let mut tree = Tree::new(&value);
    tree.go(&value, Move::Bottom, 5);
    let buffer = buffer(&tree, &value, theme(), 20, 4);
    let looks = [0, 1, 2].map(|y| buffer.cell((4, y)).unwrap().style());
    assert!(looks[0] != looks[1] && looks[1] != looks[2] && looks[0] != looks[2]);
    assert_snapshot!(shown(&tree, &value, 20, 4), @r#"
      0 null
      1 true
      2 1
      3 "null"
    "#);
}

#[test]
fn what_has_nothing_in_it_is_a_row_by_itself() {
    for (value, text) in [(json!({}), "{}"), (json!([]), "[]"), (json!(null), "null"), (json!("a"), "\"a\"")] {
        let mut tree = Tree::new(&value);
        tree.toggle(&value);
        tree.unfold_all(&value);
        assert_eq!(shown(&tree, &value, 10, 3).trim_end(), text);
        assert_eq!(tree.chosen(&value), Some(("$".to_owned(), &value)));
    }
}

#[test]
fn a_value_that_grows_keeps_what_is_open_and_chosen() {
    let value = json!({"a": {"b": {"c": [1, 2]}}, "z": 1});
    let mut tree = Tree::new(&value);
    tree.search(&value, "2");
    assert_eq!(tree.chosen(&value).unwrap().0, "$.a.b.c[1]");
    let grown = json!({"a": {"b": {"c": [1, 2, 3]}}, "z": 1, "y": {"x": 2}});
    tree.renew(&grown);
    assert_eq!(tree.chosen(&grown).unwrap().0, "$.a.b.c[1]");
    assert_eq!(tree.hits(), Some((1, 2)));
    let shrunk = json!({"a": 4});
    tree.renew(&shrunk);
    assert_eq!(tree.chosen(&shrunk).unwrap().0, "$.a");
}

#[test]
fn a_click_chooses_and_a_second_one_opens() {
    let value = request();
    let mut tree = Tree::new(&value);
    tree.click(&value, 2, 5);
    assert_eq!(tree.chosen(&value).unwrap().0, "$.request.messages");
    let before = tree.position().1;
    tree.click(&value, 2, 5);
    assert_eq!(tree.position().1, before + 3);
    tree.click(&value, 50, 5);
    assert_eq!(tree.position().0, 3);
}

#[test]
fn plain_glyphs_are_enough() {
    let value = request();
    let tree = Tree::new(&value);
    let theme = Theme::new(Palette::Dark, Depth::Plain, &ASCII);
    let buffer = buffer(&tree, &value, theme, 30, 2);
    let first = (0..9).map(|x| buffer.cell((x, 0)).unwrap().symbol()).collect::<String>();
    assert_eq!(first, "- request");
}

/// A frame of a tree with 200,000 rows takes about what one with 20 takes: rows that are not seen are not touched.
#[test]
fn a_huge_tree_costs_what_is_seen_of_it() {
    let value = json!({"rows": (0..100_000).map(|n| json!({"id": n})).collect::<Vec<_>>()});
    let mut tree = Tree::new(&value);
    assert_eq!(tree.position(), (1, 1));
    tree.unfold_all(&value);
    assert_eq!(tree.position(), (1, 200_001));
    tree.go(&value, Move::Bottom, 50);
    let (area, theme) = (Rect::new(0, 0, 120, 50), theme());
    let mut buf = Buffer::empty(area);
    let start = std::time::Instant::now();
    for _ in 0..20 {
        tree.draw(&value, theme, area, &mut buf, true);
    }
    let a_frame = start.elapsed() / 20;
    assert!(a_frame < Duration::from_millis(100), "{a_frame:?}");
    assert_eq!(tree.chosen(&value).unwrap().0, "$.rows[99999].id");
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_done_something_is_chosen_and_nothing_leaves_the_area(
        value in json_values(),
        other in json_values(),
        steps in proptest::collection::vec((0_u8..14, "[a-c\"]{0,2}"), 1..30),
        width in 0_u16..50,
        height in 0_u16..12,
    ) {
        let mut tree = Tree::new(&value);
        let mut value = value;
        let seen = usize::from(height);
        let outer = Rect::new(0, 0, width + 4, height + 4);
        for (step, text) in steps {
            match step {
                0 => tree.go(&value, Move::Up, seen),
                1 => tree.go(&value, Move::Down, seen),
                2 => tree.go(&value, Move::Left, seen),
                3 => tree.go(&value, Move::Right, seen),
                4 => tree.go(&value, Move::PageDown, seen),
                5 => tree.go(&value, Move::Top, seen),
                6 => tree.toggle(&value),
                7 => tree.fold_all(&value),
                8 => tree.unfold_all(&value),
                9 => drop(tree.search(&value, &text)),
                10 => tree.next_hit(&value),
                11 => tree.scroll(3, seen),
                12 => tree.click(&value, 2, seen),
                _ => {
                    value = other.clone();
                    tree.renew(&value);
                }
            }
            let (at, all) = tree.position();
            prop_assert!(at >= 1 && at <= all);
            prop_assert!(tree.chosen(&value).is_some());
            let mut buf = Buffer::empty(outer);
            let inner = Rect::new(2, 2, width, height);
            tree.draw(&value, theme(), inner, &mut buf, true);
            prop_assert_eq!(frame::misplaced(&buf, inner), None);
        }
    }

    #[test]
    fn a_stale_value_is_drawn_without_harm(value in json_values(), other in json_values()) {
        let mut tree = Tree::new(&value);
        tree.unfold_all(&value);
        let area = Rect::new(0, 0, 30, 10);
        tree.draw(&other, theme(), area, &mut Buffer::empty(area), false);
        let _ = tree.chosen(&other);
    }
}
