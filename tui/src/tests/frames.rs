//! What every screen looks like, in its states and sizes.

use insta::{assert_snapshot, with_settings};
use ratatui::style::{Color, Modifier};
use serde_json::json;

use super::fixture::{Answers, Console, USUAL, theme};
use crate::{
    action::{Effect, News},
    store::Failure,
    theme::{ASCII, Depth, Palette, Theme, UNICODE},
    want::{Query, Want},
};

/// The keys that lead to each screen.
const SCREENS: [(&str, &str); 8] = [
    ("overview", "1"),
    ("plugins", "2"),
    ("agents", "3"),
    ("runs", "4"),
    ("traces", "5"),
    ("threads", "6"),
    ("logs", "7"),
    ("links", "8"),
];

#[track_caller]
fn check(name: &str, console: &Console) {
    with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        assert_snapshot!(name.to_owned(), console.frame());
    });
}

fn shown(answers: Answers, keys: &str) -> Console {
    let mut console = Console::new(answers);
    console.press(keys);
    console
}

#[test]
fn screens_of_a_server_that_is_used() {
    for (name, keys) in SCREENS {
        check(name, &shown(Answers::Full, keys));
    }
}

#[test]
fn screens_of_a_server_where_nothing_is() {
    for (name, keys) in SCREENS {
        check(&format!("{name}-empty"), &shown(Answers::Empty, keys));
    }
}

#[test]
fn screens_before_anything_is_known() {
    for (name, keys) in SCREENS {
        check(&format!("{name}-loading"), &shown(Answers::None, keys));
    }
}

#[test]
fn screens_of_a_server_that_cannot() {
    for (name, keys) in SCREENS {
        check(&format!("{name}-error"), &shown(Answers::Error, keys));
    }
}

#[test]
fn screens_on_a_small_terminal_and_a_wide_one() {
    for (name, keys) in SCREENS {
        for (size, place) in [((80, 24), "80x24"), ((200, 50), "200x50")] {
            let mut console = Console::of(Answers::Full, size, theme());
            console.press(keys);
            check(&format!("{name}-{place}"), &console);
        }
    }
}

#[test]
fn what_is_opened() {
    let cases = [
        ("run", "4 j j j j j j j j j j j enter"),
        ("run-parallel", "4 j j j j j enter"),
        ("run-list", "4 j j j j j j j j j j j enter v"),
        ("run-events", "4 j j j j j j j j j j j enter v v"),
        ("run-step", "4 j j j j j j j j j j j enter tab"),
        ("trace", "5 j j j enter"),
        ("trace-flame", "5 j j j enter v"),
        ("trace-tree", "5 j j j enter v v"),
        ("trace-span", "5 j j j enter j j j j enter"),
        ("thread", "6 j j enter"),
        ("thread-unfolded", "6 j j enter O"),
        ("logs-stored", "7 v"),
        ("logs-paused", "7 k k space"),
        ("logs-wrapped", "7 w"),
        ("logs-errors", "7 L L L"),
    ];
    for (name, keys) in cases {
        check(name, &shown(Answers::Full, keys));
    }
}

#[test]
fn what_lies_over_screens() {
    let cases = [
        ("help", "2 ?"),
        ("help-found", "2 ? 'roll'"),
        ("palette", ":"),
        ("palette-found", ": 'suspend'"),
        ("contexts", "@"),
        ("confirm-rollback", "2 j b"),
        ("form-canary", "2 j c"),
        ("form-tool", "3 / 'calculator' enter i"),
        ("form-workflow", "3 / 'parallel-workflow' enter i"),
        ("record", "2 j enter"),
        ("filter", "4 / 'state:failed'"),
        ("filter-wrong", "4 / 'nonsense:x'"),
        ("new-thread", "6 + 'Plans'"),
        ("choose-agent", "6 j j enter a"),
        ("pending", "2 g"),
    ];
    for (name, keys) in cases {
        check(name, &shown(Answers::Full, keys));
    }
}

#[test]
fn what_is_not_known_is_not_said_to_be_nothing() {
    let failed = Want::Runs { query: Query::default().with("status", "failed"), page: 0 };
    let why = Failure { status: Some(503), message: "the store is busy".into(), issues: Vec::new() };
    let mut console = Console::alone();
    console.other.push((Want::Plugins, Ok(json!({"plugins": []}))));
    console.other.push((failed, Err(why)));
    console.news(News::Connected);
    let frame = console.frame();
    assert!(frame.contains("not all known: the store is busy") && !frame.contains("nothing waits"), "{frame}");
    assert!(!frame.contains("nothing runs") && frame.contains("? agents"), "{frame}");
    assert!(shown(Answers::Full, "1").frame().contains("Needs attention 6"));
}

#[test]
fn a_server_that_went_away_is_told_and_what_was_known_stays() {
    let mut console = shown(Answers::Full, "2");
    let failure = Failure { message: "Connection refused (os error 111)".into(), ..Failure::default() };
    console.news(News::Lost { failure: failure.clone(), retry: 2_000 });
    check("away", &console);
    assert!(console.frame().contains("reconnecting in 2 s, last seen 23:20:00"));
    let mut console = Console::alone();
    console.news(News::Lost { failure, retry: 2_000 });
    console.press("4");
    check("away-never-seen", &console);
    assert!(console.frame().contains("never seen"));
}

#[test]
fn a_server_that_wants_a_token_is_given_one_unseen() {
    let mut console = Console::alone();
    let failure = Failure { status: Some(401), message: "Invalid or expired token".into(), issues: Vec::new() };
    console.news(News::Lost { failure, retry: 5_000 });
    console.press("'hunter2'");
    check("token", &console);
    assert!(!console.frame().contains("hunter2"));
}

#[test]
fn an_answer_streams_in_and_a_tool_call_waits() {
    let mut console = shown(Answers::Full, "3 j j i 'weather?' enter");
    let chat = match console.effects.last() {
        Some(Effect::Chat { chat, .. }) => *chat,
        other => panic!("nobody was asked: {other:?}"),
    };
    let chunk = |console: &mut Console, kind: &str, payload: serde_json::Value| {
        let chunk = json!({"type": kind, "runId": "run-1", "from": "AGENT", "payload": payload});
        console.news(News::Chunk { chat, chunk });
    };
    chunk(&mut console, "start", json!({"id": "weather-agent"}));
    chunk(&mut console, "step-start", json!({"startedAt": 1_795_735_200_000_i64}));
    chunk(&mut console, "text-delta", json!({"id": "t", "text": "Let me **look**:\n\n- Rome\n- Pa"}));
    check("thread-streaming", &console);
    chunk(
        &mut console,
        "tool-call-approval",
        json!({"toolCallId": "c", "toolName": "deleteFile", "args": {"path": "/x"}}),
    );
    console.news(News::ChatEnded { chat, failure: None });
    check("thread-waiting", &console);
}

/// The screens that README.md shows, and where they are opened.
const README: [(&str, &str); 3] =
    [("runs", "4 j j j j j j j j j j j enter"), ("traces", "5 j enter"), ("plugins", "2 j")];

#[test]
fn readme_shows_what_is_there() {
    let readme = include_str!("../../../README.md");
    for (name, keys) in README {
        let mut console = Console::of(Answers::Full, (100, 26), theme());
        console.press(keys);
        let frame = console.frame();
        check(&format!("readme-{name}"), &console);
        assert!(readme.contains(&frame), "README.md shows other {name} than there are:\n{frame}");
    }
}

/// Names and texts of everybody: wide, joined, from the right to the left, and hostile.
const STRANGE: [&str; 5] = [
    "漢字かな交じり文のプラグイン",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈",
    "שלום עולם مرحبا",
    "e\u{301}e\u{301} \u{202e}reversed",
    "\u{1b}[31mred\u{1b}]0;title\u{7}",
];

#[test]
fn texts_of_all_scripts_keep_to_their_cells() {
    let mut console = Console::new(Answers::Empty);
    let plugin = |name: &&str| {
        json!({"name": name, "state": "serving", "version": name, "generation": 1,
        "generations": [{"number": 1, "state": "serving", "hash": name, "calls": 3}]})
    };
    let plugins: Vec<serde_json::Value> = STRANGE.iter().map(plugin).collect();
    console.other.push((Want::Plugins, Ok(json!({"plugins": plugins}))));
    console.news(News::Connected);
    console.wait(1_000);
    console.press("2 j");
    check("strange-plugins", &console);
    console.press("7");
    let line = |text: &&str| {
        ("log", json!({"message": text, "level": "info", "transport": text, "time": "2026-11-26T23:20:00Z"}))
    };
    console.events(&STRANGE.iter().map(line).collect::<Vec<_>>());
    check("strange-logs", &console);
    let message = |(number, text): (usize, &&str)| {
        json!({"id": number.to_string(), "role": if number % 2 == 0 { "user" } else { "assistant" },
        "content": {"parts": [{"type": "text", "text": format!("**{text}**\n\n- {text}")}]}, "createdAt": "2026-11-26T23:20:00Z"})
    };
    let messages: Vec<serde_json::Value> = STRANGE.iter().enumerate().map(message).collect();
    let threads = json!({"threads": [{"id": "t", "title": STRANGE[0], "resourceId": STRANGE[2]}], "total": 1});
    console.other.push((Want::Threads { query: Query::default(), page: 0 }, Ok(threads)));
    console.other.push((Want::Messages { thread: "t".into(), page: 0 }, Ok(json!({"messages": messages, "total": 5}))));
    console.press("6 f5 enter");
    check("strange-thread", &console);
    for cell in &console.buffer().content {
        assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
    }
}

#[test]
fn ascii_is_enough() {
    for (name, keys) in [("plugins", "2 j"), ("run", "4 j j j j j enter"), ("trace", "5 j enter")] {
        let mut console = Console::of(Answers::Full, USUAL, Theme::new(Palette::Dark, Depth::Full, &ASCII));
        console.press(keys);
        check(&format!("ascii-{name}"), &console);
        // What is drawn is; what is said comes from anywhere.
        let others = console.frame().chars().filter(|letter| !letter.is_ascii() && *letter != '…').collect::<String>();
        assert_eq!(others, "", "{name}");
    }
}

#[test]
fn without_colours_what_is_chosen_is_reversed_to_its_end_and_nothing_has_a_colour() {
    for palette in [Palette::Dark, Palette::Light, Palette::HighContrast] {
        let mut console = Console::of(Answers::Full, (80, 24), Theme::new(palette, Depth::Plain, &UNICODE));
        console.press("4 j j j");
        let buffer = console.buffer();
        let colored = buffer.content.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count();
        assert_eq!(colored, 0, "{palette:?}");
        let row = (0..24).find(|y| buffer[(1, *y)].symbol() == "▶").unwrap();
        let reversed: Vec<u16> = (0..80).filter(|x| buffer[(*x, row)].modifier.contains(Modifier::REVERSED)).collect();
        assert_eq!(reversed, (1..79).collect::<Vec<_>>(), "{palette:?}");
    }
}

#[test]
fn styles_of_what_is_chosen_and_of_what_failed() {
    let mut console = Console::of(Answers::Full, (80, 24), theme());
    console.press("4 j j");
    let buffer = console.buffer();
    let letter = |cell: &ratatui::buffer::Cell| match (cell.modifier.contains(Modifier::REVERSED), cell.fg) {
        (true, _) => 'R',
        _ if cell.modifier.contains(Modifier::BOLD) && cell.fg != Color::Reset => 'B',
        (_, Color::Reset) => '.',
        _ => 'c',
    };
    let rows = (0..8).map(|y| (0..80).map(|x| letter(&buffer[(x, y)])).collect::<String>());
    with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        assert_snapshot!("styles-runs", rows.collect::<Vec<_>>().join("\n"));
    });
}

#[test]
fn no_terminal_is_too_small_or_too_large_to_draw_on() {
    let sizes = [(1, 1), (3, 2), (10, 10), (59, 16), (60, 15), (60, 16), (61, 17), (99, 20), (300, 100)];
    for size in sizes {
        for (name, keys) in SCREENS {
            let mut console = Console::of(Answers::Full, size, theme());
            console.press(keys);
            console.press("enter j tab j ?");
            let is_small = size.0 < 60 || size.1 < 16;
            let frame = console.frame();
            assert_eq!(frame.starts_with("too small"), is_small && size.0 > 8, "{name} {size:?}\n{frame}");
        }
    }
}
