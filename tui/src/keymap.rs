//! Which keys mean what. One table: keys, the last line of the screen, `?` and the palette come from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::{order::Role, parts::cursor::Move, screens::ScreenKind};

/// What an operator can tell the console to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Quit,
    Help,
    Palette,
    Contexts,
    Show(ScreenKind),
    NextScreen,
    PreviousScreen,
    Go(Move),
    Open,
    Back,
    NextPane,
    PreviousPane,
    Zoom,
    Filter,
    NextHit,
    PreviousHit,
    NextError,
    PreviousError,
    Sort,
    Reverse,
    View,
    Fold,
    FoldAll,
    Copy,
    CopyRecord,
    Export,
    Pause,
    Wrap,
    Level,
    Time,
    Clear,
    Mouse,
    Redraw,
    Refresh,
    ToTrace,
    ToRun,
    ToThread,
    ToLogs,
    ToPlugin,
    Use,
    Reload,
    Rollback,
    Toggle,
    Canary,
    Promote,
    Abort,
    Resume,
    Cancel,
    Restart,
    Delete,
    New,
    Clone,
    Rename,
    Agent,
    Approve,
    Decline,
}

/// Where a key has its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Everywhere,
    /// In every list.
    List,
    /// Where values fold.
    Tree,
    Overview,
    Plugins,
    Agents,
    Runs,
    Run,
    Traces,
    Trace,
    Threads,
    Logs,
}

impl Scope {
    /// Returns its name, as a heading.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::List => "Lists",
            Self::Tree => "Values",
            Self::Overview => "Overview",
            Self::Plugins => "Plugins",
            Self::Agents => "Agents, tools, workflows",
            Self::Runs => "Runs",
            Self::Run => "A run",
            Self::Traces => "Traces",
            Self::Trace => "A trace",
            Self::Threads => "Threads",
            Self::Logs => "Logs",
        }
    }
}

/// Keys for a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    pub(crate) scope: Scope,
    pub(crate) command: Command,
    /// Each is one key, or two after each other with a space between.
    pub(crate) keys: &'static [&'static str],
    /// What it does, in a few words.
    pub(crate) words: &'static str,
    /// Whether the last line shows it.
    is_hinted: bool,
    /// Who may.
    pub(crate) role: Role,
}

const fn look(scope: Scope, command: Command, keys: &'static [&'static str], words: &'static str) -> Binding {
    Binding { scope, command, keys, words, is_hinted: false, role: Role::Viewer }
}

const fn hint(scope: Scope, command: Command, keys: &'static [&'static str], words: &'static str) -> Binding {
    Binding { scope, command, keys, words, is_hinted: true, role: Role::Viewer }
}

const fn change(
    scope: Scope,
    role: Role,
    command: Command,
    keys: &'static [&'static str],
    words: &'static str,
) -> Binding {
    Binding { scope, command, keys, words, is_hinted: true, role }
}

/// All of them; a screen's own come before those of everywhere.
#[rustfmt::skip]
pub(crate) const BINDINGS: &[Binding] = &[
    hint(Scope::Overview, Command::Open, &["enter"], "open"),

    change(Scope::Plugins, Role::Admin, Command::Reload, &["r", "C-r"], "reload"),
    change(Scope::Plugins, Role::Admin, Command::Rollback, &["b"], "roll back"),
    change(Scope::Plugins, Role::Admin, Command::Toggle, &["d"], "disable/enable"),
    change(Scope::Plugins, Role::Admin, Command::Canary, &["c"], "canary"),
    Binding { scope: Scope::Plugins, command: Command::Promote, keys: &["P"], words: "promote the canary", is_hinted: false, role: Role::Admin },
    Binding { scope: Scope::Plugins, command: Command::Abort, keys: &["A"], words: "abort the canary", is_hinted: false, role: Role::Admin },

    change(Scope::Agents, Role::Operator, Command::Use, &["i", "enter"], "chat, execute, start"),

    change(Scope::Runs, Role::Operator, Command::Resume, &["R"], "resume"),
    change(Scope::Runs, Role::Operator, Command::Cancel, &["x"], "cancel"),
    change(Scope::Runs, Role::Operator, Command::Restart, &["a"], "restart"),
    Binding { scope: Scope::Runs, command: Command::Use, keys: &["i"], words: "start another", is_hinted: false, role: Role::Operator },
    Binding { scope: Scope::Runs, command: Command::Delete, keys: &["D"], words: "delete", is_hinted: false, role: Role::Operator },
    look(Scope::Runs, Command::Level, &["L"], "states: all, running, suspended, failed, success, canceled"),
    hint(Scope::Run, Command::View, &["v"], "graph/list/events"),

    look(Scope::Traces, Command::NextError, &["e"], "next error"),
    look(Scope::Traces, Command::PreviousError, &["E"], "previous error"),
    hint(Scope::Trace, Command::View, &["v"], "waterfall/flame/tree"),

    change(Scope::Threads, Role::Operator, Command::Use, &["i"], "write"),
    change(Scope::Threads, Role::Operator, Command::New, &["+"], "new thread"),
    hint(Scope::Threads, Command::Agent, &["a"], "agent"),
    Binding { scope: Scope::Threads, command: Command::Clone, keys: &["c"], words: "clone the thread", is_hinted: false, role: Role::Operator },
    Binding { scope: Scope::Threads, command: Command::Rename, keys: &["t"], words: "another title", is_hinted: false, role: Role::Operator },
    Binding { scope: Scope::Threads, command: Command::Delete, keys: &["D"], words: "delete the thread", is_hinted: false, role: Role::Operator },
    Binding { scope: Scope::Threads, command: Command::Approve, keys: &["Y"], words: "approve the tool call that waits", is_hinted: false, role: Role::Operator },
    Binding { scope: Scope::Threads, command: Command::Decline, keys: &["X"], words: "decline the tool call that waits", is_hinted: false, role: Role::Operator },
    look(Scope::Threads, Command::Cancel, &["x"], "stop the answer"),

    hint(Scope::Logs, Command::Pause, &["space"], "pause"),
    hint(Scope::Logs, Command::Level, &["L"], "level"),
    hint(Scope::Logs, Command::Time, &["T"], "time"),
    hint(Scope::Logs, Command::View, &["v"], "live/stored"),
    hint(Scope::Logs, Command::Wrap, &["w"], "wrap"),
    look(Scope::Logs, Command::NextError, &["e"], "next error"),
    look(Scope::Logs, Command::PreviousError, &["E"], "previous error"),
    look(Scope::Logs, Command::Clear, &["K"], "clear the view"),

    hint(Scope::Tree, Command::Fold, &["o"], "fold"),
    look(Scope::Tree, Command::FoldAll, &["O"], "fold all, or none"),

    hint(Scope::List, Command::Filter, &["/"], "filter"),
    look(Scope::List, Command::NextHit, &["n"], "next hit"),
    look(Scope::List, Command::PreviousHit, &["N"], "previous hit"),
    look(Scope::List, Command::Sort, &["s"], "sort by the next column; what is paged, by time"),
    look(Scope::List, Command::Reverse, &["S"], "sort the other way round"),

    look(Scope::Everywhere, Command::Go(Move::Down), &["j", "down"], "down"),
    look(Scope::Everywhere, Command::Go(Move::Up), &["k", "up"], "up"),
    look(Scope::Everywhere, Command::Go(Move::Left), &["h", "left"], "left"),
    look(Scope::Everywhere, Command::Go(Move::Right), &["l", "right"], "right"),
    look(Scope::Everywhere, Command::Go(Move::HalfDown), &["C-d"], "half a page down"),
    look(Scope::Everywhere, Command::Go(Move::HalfUp), &["C-u"], "half a page up"),
    look(Scope::Everywhere, Command::Go(Move::PageDown), &["pagedown", "C-f"], "a page down"),
    look(Scope::Everywhere, Command::Go(Move::PageUp), &["pageup", "C-b"], "a page up"),
    look(Scope::Everywhere, Command::Go(Move::Top), &["g g", "home"], "to the top"),
    look(Scope::Everywhere, Command::Go(Move::Bottom), &["G", "end"], "to the bottom; what is live is followed there"),
    look(Scope::Everywhere, Command::Open, &["enter"], "open"),
    look(Scope::Everywhere, Command::Back, &["esc", "backspace"], "back, one up"),
    look(Scope::Everywhere, Command::NextPane, &["tab"], "next pane"),
    look(Scope::Everywhere, Command::PreviousPane, &["backtab"], "previous pane"),
    look(Scope::Everywhere, Command::Zoom, &["z"], "the pane alone, or all of them"),
    look(Scope::Everywhere, Command::ToTrace, &["g t"], "to the trace of what is chosen"),
    look(Scope::Everywhere, Command::ToRun, &["g r"], "to its run"),
    look(Scope::Everywhere, Command::ToThread, &["g m"], "to its thread"),
    look(Scope::Everywhere, Command::ToLogs, &["g l"], "to its log"),
    look(Scope::Everywhere, Command::ToPlugin, &["g p"], "to its plugin"),
    look(Scope::Everywhere, Command::Copy, &["y"], "copy"),
    look(Scope::Everywhere, Command::CopyRecord, &["C-y"], "copy as JSON"),
    look(Scope::Everywhere, Command::Export, &["C-e"], "write as JSON into a file"),
    look(Scope::Everywhere, Command::Refresh, &["f5"], "ask the server again"),
    look(Scope::Everywhere, Command::Show(ScreenKind::Overview), &["1"], "Overview"),
    look(Scope::Everywhere, Command::Show(ScreenKind::Plugins), &["2"], "Plugins"),
    look(Scope::Everywhere, Command::Show(ScreenKind::Agents), &["3"], "Agents, tools, workflows"),
    look(Scope::Everywhere, Command::Show(ScreenKind::Runs), &["4"], "Runs"),
    look(Scope::Everywhere, Command::Show(ScreenKind::Traces), &["5"], "Traces"),
    look(Scope::Everywhere, Command::Show(ScreenKind::Threads), &["6"], "Threads, chat"),
    look(Scope::Everywhere, Command::Show(ScreenKind::Logs), &["7"], "Logs"),
    look(Scope::Everywhere, Command::Show(ScreenKind::Links), &["8"], "Vectors, MCP"),
    look(Scope::Everywhere, Command::NextScreen, &["]"], "next screen"),
    look(Scope::Everywhere, Command::PreviousScreen, &["["], "previous screen"),
    hint(Scope::Everywhere, Command::Palette, &[":", "C-p"], "palette"),
    look(Scope::Everywhere, Command::Contexts, &["@"], "another server"),
    hint(Scope::Everywhere, Command::Help, &["?"], "help"),
    look(Scope::Everywhere, Command::Mouse, &["M"], "mouse on or off: off, the terminal selects text"),
    look(Scope::Everywhere, Command::Redraw, &["C-l"], "draw again"),
    hint(Scope::Everywhere, Command::Quit, &["q", "C-c"], "quit"),
];

/// What keys pressed after each other mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    Command(Command),
    /// Another key is needed.
    Begin,
    Nothing,
}

/// Returns a key's name: `j`, `G`, `C-d`, `enter`, `f5`. Names are what tables have.
pub(crate) fn name(key: KeyEvent) -> Option<String> {
    let name = match key.code {
        KeyCode::Char(' ') => "space".to_owned(),
        KeyCode::Char(character) => character.to_string(),
        KeyCode::Enter => "enter".to_owned(),
        KeyCode::Esc => "esc".to_owned(),
        KeyCode::Backspace => "backspace".to_owned(),
        KeyCode::Tab if key.modifiers.contains(KeyModifiers::SHIFT) => "backtab".to_owned(),
        KeyCode::Tab => "tab".to_owned(),
        KeyCode::BackTab => return Some("backtab".to_owned()),
        KeyCode::Up => "up".to_owned(),
        KeyCode::Down => "down".to_owned(),
        KeyCode::Left => "left".to_owned(),
        KeyCode::Right => "right".to_owned(),
        KeyCode::Home => "home".to_owned(),
        KeyCode::End => "end".to_owned(),
        KeyCode::PageUp => "pageup".to_owned(),
        KeyCode::PageDown => "pagedown".to_owned(),
        KeyCode::Delete => "delete".to_owned(),
        KeyCode::F(number) => format!("f{number}"),
        _ => return None,
    };
    Some(if key.modifiers.contains(KeyModifiers::CONTROL) { format!("C-{name}") } else { name })
}

/// Returns the bindings of these scopes, and then those of everywhere.
pub(crate) fn bindings(scopes: &[Scope]) -> impl Iterator<Item = &'static Binding> {
    let all = scopes.iter().copied().chain([Scope::Everywhere]);
    let all: Vec<Scope> = all.collect();
    all.into_iter().flat_map(|scope| BINDINGS.iter().filter(move |binding| binding.scope == scope))
}

/// Returns what a key means, after `pending` if that is not empty.
pub(crate) fn find(scopes: &[Scope], pending: &str, key: &str) -> Match {
    let pressed = if pending.is_empty() { key.to_owned() } else { format!("{pending} {key}") };
    let mut found = Match::Nothing;
    for binding in bindings(scopes) {
        for keys in binding.keys {
            if *keys == pressed {
                return Match::Command(binding.command);
            }
            if keys.split_once(' ').is_some_and(|(first, _)| first == pressed) {
                found = Match::Begin;
            }
        }
    }
    found
}

/// Returns what the last line of the screen says: keys and words.
pub(crate) fn hints(scopes: &[Scope]) -> impl Iterator<Item = (&'static str, &'static str)> {
    let hinted = bindings(scopes).filter(|binding| binding.is_hinted);
    hinted.filter_map(|binding| Some((*binding.keys.first()?, binding.words)))
}

/// Returns who may give a command.
pub(crate) fn role(scopes: &[Scope], command: Command) -> Role {
    bindings(scopes).find(|binding| binding.command == command).map_or(Role::Viewer, |binding| binding.role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screens_own_keys_come_before_those_of_everywhere() {
        assert_eq!(find(&[Scope::Plugins, Scope::List], "", "r"), Match::Command(Command::Reload));
        assert_eq!(find(&[Scope::Runs, Scope::List], "", "r"), Match::Nothing);
        assert_eq!(find(&[Scope::Agents], "", "enter"), Match::Command(Command::Use));
        assert_eq!(find(&[Scope::Runs], "", "enter"), Match::Command(Command::Open));
    }

    #[test]
    fn two_keys_after_each_other_are_one() {
        assert_eq!(find(&[], "", "g"), Match::Begin);
        assert_eq!(find(&[], "g", "t"), Match::Command(Command::ToTrace));
        assert_eq!(find(&[], "g", "q"), Match::Nothing);
    }

    #[test]
    fn keys_have_the_names_of_the_table() {
        let named = |code, modifiers| name(KeyEvent::new(code, modifiers)).unwrap_or_default();
        assert_eq!(named(KeyCode::Char('d'), KeyModifiers::CONTROL), "C-d");
        assert_eq!(named(KeyCode::Char('G'), KeyModifiers::SHIFT), "G");
        assert_eq!(named(KeyCode::Tab, KeyModifiers::SHIFT), "backtab");
        assert_eq!(named(KeyCode::Char(' '), KeyModifiers::NONE), "space");
        assert_eq!(named(KeyCode::Null, KeyModifiers::NONE), "");
    }

    #[test]
    fn no_key_has_two_meanings_in_one_scope() {
        let mut seen = std::collections::HashSet::new();
        for binding in BINDINGS {
            for keys in binding.keys {
                assert!(seen.insert((binding.scope.name(), *keys)), "{} {keys}", binding.scope.name());
            }
        }
    }
}
