//! Terminals of all kinds, and how they are left.

use hotbay_tests::{
    TestHost, eventually,
    plugin_host::SOON,
    pty::{Program, Terminal},
};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{console, host, start_run};

/// The bytes that leave the alternate screen, end the mouse and pasting in brackets, and show the cursor.
const GIVEN_BACK: [&[u8]; 4] = [b"\x1b[?1049l", b"\x1b[?1000l", b"\x1b[?2004l", b"\x1b[?25h"];

#[track_caller]
fn check_given_back(terminal: &Terminal) {
    let bytes = terminal.bytes();
    let last = |sequence: &[u8]| bytes.windows(sequence.len()).rposition(|window| window == sequence);
    for sequence in GIVEN_BACK {
        let text = String::from_utf8_lossy(sequence).into_owned();
        let ended = last(sequence).unwrap_or_else(|| panic!("{text:?} was never written"));
        // Nothing takes it over again after that.
        assert!(last(b"\x1b[?1049h").is_none_or(|entered| entered < ended), "{text:?}");
    }
    assert!(!terminal.screen(vt100_alternate));
    assert!(terminal.is_cooked(), "keys are a line again, and seen");
}

fn vt100_alternate(screen: &vt100::Screen) -> bool {
    screen.alternate_screen()
}

#[tokio::test]
async fn the_terminal_is_given_back_however_the_console_is_left() {
    let host = host().await;
    for (how, code) in [("q", 0), ("C-c", 0)] {
        let mut terminal = console(&host, "overview");
        terminal.keys(how);
        assert_eq!(terminal.ended().unwrap(), code, "{how}");
        check_given_back(&terminal);
    }
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut terminal = console(&host, "overview");
        terminal.signal(signal).unwrap();
        assert_eq!(terminal.ended().unwrap(), 0, "{signal}");
        check_given_back(&terminal);
    }
}

#[tokio::test]
async fn a_console_that_is_stopped_gives_the_terminal_to_the_shell_and_takes_it_again() {
    let host = host().await;
    let mut terminal = console(&host, "plugins");
    terminal.see("hotbay-test-reference");
    terminal.keys("C-z");
    terminal.wait("the shell's screen", |seen| !seen.contains("hotbay-test-reference"));
    assert!(!terminal.screen(vt100_alternate));
    // It gives the terminal back, and stops then.
    let stat = format!("/proc/{}/stat", terminal.process_id());
    let is_stopped = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
    eventually(SOON, async || is_stopped().then_some(())).await;
    terminal.signal(Signal::SIGCONT).unwrap();
    terminal.see("hotbay-test-reference");
    terminal.keys("q");
    assert_eq!(terminal.ended().unwrap(), 0);
}

#[tokio::test]
async fn any_size_is_drawn_on_and_changed_while_it_is() {
    let host = host().await;
    let url = host.url("");
    let mut terminal = Program::built("hotbay-tui").arguments(&["--url", &url]).size(80, 24).start().unwrap();
    terminal.see("[1 Overview]");
    for key in ["2", "3", "4", "5", "6", "7", "8"] {
        terminal.keys(key);
        terminal.wait("the tab", |seen| seen.contains(&format!("[{key} ")));
    }
    terminal.resize(200, 50).unwrap();
    terminal.see(" 2 Plugins ");
    terminal.resize(40, 10).unwrap();
    terminal.see("too small: 60x16 at least");
    terminal.resize(300, 100).unwrap();
    terminal.see("[8 Links]");
    terminal.keys("q");
    assert_eq!(terminal.ended().unwrap(), 0);
}

#[tokio::test]
async fn without_colours_none_is_written_and_what_is_chosen_is_reversed_to_its_end() {
    let host = host().await;
    start_run(&host, "failing-workflow", json!({"message": "a"})).await;
    let url = host.url("");
    let arguments = ["--url", &url, "--screen", "runs"];
    let program = Program::built("hotbay-tui").arguments(&arguments).variable("NO_COLOR", "1").size(80, 24);
    let terminal = program.start().unwrap();
    terminal.see("failed");
    let bytes = String::from_utf8_lossy(&terminal.bytes()).into_owned();
    for code in ["\x1b[38;", "\x1b[48;", "\x1b[31m", "\x1b[91m"] {
        assert!(!bytes.contains(code), "{code:?}");
    }
    let colored = terminal.screen(|screen| {
        let cells = (0..24).flat_map(|row| (0..80).filter_map(move |column| screen.cell(row, column)));
        cells.filter(|cell| cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default).count()
    });
    assert_eq!(colored, 0);
    let reversed = terminal.screen(|screen| {
        let row = (0..24).find(|row| screen.cell(*row, 1).is_some_and(|cell| cell.contents() == "▶"))?;
        Some((1..79).all(|column| screen.cell(row, column).is_some_and(vt100::Cell::inverse)))
    });
    assert_eq!(reversed, Some(true));
}

#[tokio::test]
async fn colours_are_written_where_there_are_some() {
    let host = host().await;
    let terminal = console(&host, "plugins");
    terminal.see("serving");
    assert!(String::from_utf8_lossy(&terminal.bytes()).contains("\x1b[38;2;"));
}

#[tokio::test]
async fn the_mouse_chooses_and_is_given_to_the_terminal() {
    let host = host().await;
    for _ in 0..40 {
        start_run(&host, "linear-workflow", json!({"message": "a"})).await;
    }
    let mut terminal = console(&host, "overview");
    // The tab of the runs: fourth from the left.
    let column = terminal.see("4 Runs").lines().next().unwrap().find("4 Runs").unwrap();
    terminal.click(u16::try_from(column).unwrap(), 0);
    terminal.see("[4 Runs]");
    terminal.see("1/40");
    terminal.wheel_down(20, 10);
    terminal.see("4/40");
    terminal.click(20, 10);
    terminal.wait("another row", |seen| !seen.contains(" 4/40 ") && seen.contains("/40"));
    terminal.keys("M");
    terminal.see("the mouse is the terminal's");
    assert!(terminal.bytes().windows(8).any(|window| window == b"\x1b[?1000l"));
}

#[tokio::test]
async fn pasted_text_is_text_and_no_commands() {
    let host = host().await;
    let mut terminal = console(&host, "agents");
    terminal.see("calculator");
    terminal.keys("/");
    terminal.raw(b"\x1b[200~calculator\nq\x1b[201~");
    terminal.see("calculator⏎q");
    terminal.keys("esc");
    terminal.see("weather-agent");
}

#[tokio::test]
async fn no_server_at_all_is_told_and_left_at_once() {
    let host: TestHost = host().await;
    drop(host);
    let mut terminal = Program::built("hotbay-tui").arguments(&["--url", "http://127.0.0.1:9"]).start().unwrap();
    terminal.see("never seen");
    terminal.keys("q");
    assert_eq!(terminal.ended().unwrap(), 0);
    check_given_back(&terminal);
}
