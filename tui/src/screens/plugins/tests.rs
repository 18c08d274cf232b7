//! Frames of the screen, drawn into memory.

use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::*;
use crate::{
    action::{Action, Order, Request},
    api::{Failure, Generation, Latency},
    app::update,
};

fn terminal(state: &State, theme: Theme, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, theme, frame)).unwrap();
    terminal
}

/// Returns the lines of a frame of 80 by 24 cells, without the blanks at their ends.
fn frame(state: &State) -> Vec<String> {
    let terminal = terminal(state, Theme::new(false), 80, 24);
    let cells: Vec<&str> = terminal.backend().buffer().content().iter().map(|cell| cell.symbol()).collect();
    cells.chunks(80).map(|line| line.concat().trim_end().to_owned()).collect()
}

fn weather() -> Plugin {
    let latency_ms = Latency { p50: 0.25, p99: 12.5 };
    Plugin {
        name: "example-weather".into(),
        state: "serving".into(),
        version: "1.2.3".into(),
        file: "plugins.d/libweather.so".into(),
        generation: Some(2),
        generations: vec![
            Generation { number: 2, calls: 40, errors: 0, in_flight: 3, latency_ms },
            Generation { number: 1, calls: 2, errors: 1, in_flight: 1, latency_ms: Latency::default() },
        ],
        last_error: None,
    }
}

fn broken() -> Plugin {
    Plugin {
        name: "broken".into(),
        state: "refused".into(),
        last_error: Some(Failure { code: "E_NOT_ELF".into(), message: "not a shared library".into() }),
        ..Plugin::default()
    }
}

fn seen(plugins: Vec<Plugin>) -> State {
    let mut state = State::new("http://127.0.0.1:4111".into());
    let overview = Overview { agents: 1, tools: 2, plugins };
    update(&mut state, Action::Loaded { overview, at: "12:34:56 UTC".into() });
    state
}

#[test]
fn before_the_first_answer_it_says_so() {
    let lines = frame(&State::new("http://127.0.0.1:4111".into()));
    assert_eq!(lines[0], "hotbay http://127.0.0.1:4111  connecting");
    assert!(lines[1..23].iter().all(String::is_empty), "{lines:#?}");
    assert_eq!(lines[23], keymap::HELP);
}

#[test]
fn a_server_without_plugins_says_what_to_do() {
    let lines = frame(&seen(Vec::new()));
    assert_eq!(lines[1], "0 plugins, 1 agents, 2 tools");
    assert_eq!(lines[2], "no plugins: put one into a plugin directory of the server");
}

#[test]
fn plugins_fit_into_eighty_columns() {
    let lines = frame(&seen(vec![weather(), broken()]));
    let expected = [
        "hotbay http://127.0.0.1:4111  connected",
        "2 plugins, 1 agents, 2 tools",
        "PLUGIN               STATE    GEN VERSION  CALLS   ERRORS FLIGHT P50 ms  P99 ms",
        "example-weather      serving  2   1.2.3    42      1      4      0.25    12.50",
        "broken               refused  -            0       0      0      -       -",
    ];
    assert_eq!(lines[..5], expected);
    assert_eq!(lines[17], "plugins.d/libweather.so");
}

#[test]
fn the_selected_plugins_error_is_shown() {
    let mut state = seen(vec![weather(), broken()]);
    update(&mut state, Action::SelectNext);
    assert_eq!(frame(&state)[18], "E_NOT_ELF: not a shared library");
}

#[test]
fn a_server_that_went_away_is_dated_and_its_plugins_stay() {
    let mut state = seen(vec![weather()]);
    update(&mut state, Action::Lost("connection refused".into()));
    let lines = frame(&state);
    assert_eq!(lines[0], "hotbay http://127.0.0.1:4111  reconnecting, last seen 12:34:56 UTC");
    assert!(lines[3].starts_with("example-weather"));
    assert_eq!(lines[22], "connection refused");
}

#[test]
fn a_refused_order_is_shown() {
    let mut state = seen(vec![weather()]);
    update(&mut state, Action::Refused("rollback of `x` failed: 409".into()));
    assert_eq!(frame(&state)[22], "rollback of `x` failed: 409");
}

#[test]
fn a_question_lies_over_the_screen() {
    let mut state = seen(vec![weather()]);
    state.popups.push(Popup::Confirm(Request { order: Order::Rollback, plugin: "example-weather".into() }));
    let text = frame(&state).join("\n");
    assert!(text.contains("│ rollback `example-weather`? y/n │"), "{text}");
}

#[test]
fn more_plugins_than_lines_scroll_with_the_selection() {
    let plugins = (0..50).map(|number| Plugin { name: format!("plugin-{number}"), ..Plugin::default() }).collect();
    let mut state = seen(plugins);
    for _ in 0..49 {
        update(&mut state, Action::SelectNext);
    }
    let text = frame(&state).join("\n");
    assert!(text.contains("plugin-49") && !text.contains("plugin-0 "), "{text}");
}

#[test]
fn colours_are_used_only_where_they_are_wanted() {
    let state = seen(vec![weather(), broken()]);
    let colors = |has_color| {
        let terminal = terminal(&state, Theme::new(has_color), 80, 24);
        terminal.backend().buffer().content().iter().filter(|cell| cell.fg != Color::Reset).count()
    };
    assert_eq!(colors(false), 0);
    assert!(colors(true) > 0);
}

#[test]
fn tiny_terminals_do_no_harm() {
    let mut state = seen(vec![weather(), broken()]);
    state.popups.push(Popup::Confirm(Request { order: Order::Rollback, plugin: "example-weather".into() }));
    for (width, height) in [(1, 1), (10, 3), (20, 6), (0, 0)] {
        terminal(&state, Theme::new(true), width, height);
    }
}
