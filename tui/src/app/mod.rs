//! The console's state. [`update`] is its only writer and does nothing outside; [`crate::view`] draws it.

use crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::{
    action::{Action, Effect},
    config::Server,
    keymap::{self, Command, Match},
    order::{Order, Role},
    popups::{self, Popup, Prompt, PromptKind},
    screens::{Deed, Look, Place, ScreenKind, Screens},
    store::{Failure, Store},
    theme::Theme,
    view,
    want::Want,
};

/// How long something is said, in milliseconds.
const SAID: i64 = 8_000;
/// How many screens back one can go.
const HISTORY: usize = 50;
/// Rows a wheel scrolls.
const WHEEL: isize = 3;

/// Whether the server tells what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing was heard yet.
    Connecting,
    Live,
    /// For this reason; the next try is at this moment.
    Lost {
        failure: Failure,
        retry: i64,
    },
}

/// The line above the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) text: String,
    pub(crate) is_bad: bool,
    /// When it goes.
    until: i64,
}

/// Everything there is to draw.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) server: Server,
    /// All there are to choose from.
    pub(crate) servers: Vec<Server>,
    pub(crate) link: Link,
    /// When the server was last heard.
    pub(crate) last_seen: Option<i64>,
    /// What it lets us do, once it said so.
    pub(crate) role: Option<Role>,
    pub(crate) store: Store,
    pub(crate) screens: Screens,
    pub(crate) current: ScreenKind,
    history: Vec<ScreenKind>,
    /// The last one is on top and takes the keys.
    pub(crate) popups: Vec<Popup>,
    pub(crate) notice: Option<Notice>,
    /// The first of two keys.
    pub(crate) pending: String,
    /// Columns and rows.
    pub(crate) size: (u16, u16),
    /// In Unix milliseconds.
    pub(crate) now: i64,
    pub(crate) theme: Theme,
    pub(crate) has_mouse: bool,
    pub(crate) is_quitting: bool,
    /// When something has to be done though nothing happens.
    pub(crate) wake: Option<i64>,
}

/// What screens see of a state, borrowed field by field, so that a screen can be changed meanwhile.
macro_rules! look {
    ($state:expr) => {
        Look {
            store: &$state.store,
            theme: $state.theme,
            now: $state.now,
            area: view::screen_area($state.size),
            role: if $state.server.is_read_only { Role::Viewer } else { $state.role.unwrap_or(Role::Admin) },
        }
    };
}

mod news;

impl State {
    pub(crate) fn new(server: Server, servers: Vec<Server>, theme: Theme, size: (u16, u16), now: i64) -> Self {
        Self {
            server,
            servers,
            link: Link::Connecting,
            last_seen: None,
            role: None,
            store: Store::default(),
            screens: Screens::default(),
            current: ScreenKind::Overview,
            history: Vec::new(),
            popups: Vec::new(),
            notice: None,
            pending: String::new(),
            size,
            now,
            theme,
            has_mouse: true,
            is_quitting: false,
            wake: None,
        }
    }

    /// Returns what may be done: no more than the server allows. What it allows is its answer in
    /// the end; as long as it did not say, it is asked.
    pub(crate) fn role(&self) -> Role {
        self.look().role
    }

    /// Returns what the screens see.
    pub(crate) fn look(&self) -> Look<'_> {
        look!(self)
    }

    /// Returns what has to be known for what is seen.
    pub(crate) fn wants(&self) -> Vec<Want> {
        let look = self.look();
        let mut wants = vec![Want::Me];
        wants.extend(self.screens.get(self.current).wants(&look));
        wants.extend(self.popups.iter().flat_map(Popup::wants));
        wants.sort();
        wants.dedup();
        wants
    }

    pub(crate) fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), is_bad: false, until: self.now + SAID });
    }

    pub(crate) fn complain(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), is_bad: true, until: self.now + SAID });
    }

    fn show(&mut self, kind: ScreenKind) {
        if self.current != kind {
            if self.history.len() == HISTORY {
                self.history.remove(0);
            }
            self.history.push(self.current);
            self.current = kind;
        }
    }
}

/// Changes the state by one action. Returns what is to be done outside.
pub(crate) fn update(state: &mut State, action: Action) -> Vec<Effect> {
    let mut effects = Vec::new();
    match action {
        Action::Now(now) => state.now = now,
        Action::Resize(columns, rows) => state.size = (columns, rows),
        Action::Key(key) if key.kind != KeyEventKind::Release => pressed(state, key, &mut effects),
        Action::Key(_) => {}
        Action::Paste(text) => match state.popups.last_mut() {
            Some(popup) => popup.paste(&text),
            None => state.screens.get_mut(state.current).paste(&text),
        },
        Action::Mouse(mouse) => clicked(state, mouse, &mut effects),
        Action::News(news) => news::heard(state, news, &mut effects),
    }
    if state.notice.as_ref().is_some_and(|notice| notice.until <= state.now) {
        state.notice = None;
    }
    let look = look!(state);
    state.screens.get_mut(state.current).settle(&look);
    let wants = state.wants();
    let (asked, next) = state.store.ask(&wants, state.now);
    // A server that is away is not asked; the stream of events finds out when it is back.
    if matches!(state.link, Link::Lost { .. }) {
        for want in &asked {
            state.store.learn(
                want,
                Err(Failure { message: "the server is away".into(), ..Failure::default() }),
                state.now,
            );
        }
        state.wake = None;
    } else {
        effects.extend(asked.into_iter().map(Effect::Fetch));
        state.wake = next;
    }
    for moment in [state.notice.as_ref().map(|notice| notice.until), state.next_second()].into_iter().flatten() {
        state.wake = Some(state.wake.map_or(moment, |wake| wake.min(moment)));
    }
    effects
}

impl State {
    /// Returns the next second, while there is something that counts them.
    fn next_second(&self) -> Option<i64> {
        let is_counting = matches!(self.link, Link::Lost { .. });
        is_counting.then(|| (self.now / 1000 + 1) * 1000)
    }
}

fn pressed(state: &mut State, key: KeyEvent, effects: &mut Vec<Effect>) {
    let Some(name) = keymap::name(key) else { return };
    let look = look!(state);
    if let Some(popup) = state.popups.last_mut() {
        let deeds = popups::key(popup, key, &name, &look);
        match deeds {
            popups::Outcome::Stay(deeds) => perform(state, deeds, effects),
            popups::Outcome::Close(deeds) => {
                state.popups.pop();
                perform(state, deeds, effects);
            }
            popups::Outcome::Command(command) => {
                state.popups.pop();
                commanded(state, command, effects);
            }
            popups::Outcome::Filter(text, is_done) => {
                let outcome = state.screens.get_mut(state.current).filter(&text, &look);
                match outcome {
                    Ok(()) if is_done => drop(state.popups.pop()),
                    Ok(()) => state.notice = None,
                    Err(reason) => state.complain(reason),
                }
            }
        }
        return;
    }
    if state.screens.get(state.current).is_typing() {
        let deeds = state.screens.get_mut(state.current).key(key, &look);
        perform(state, deeds, effects);
        return;
    }
    let scopes = state.screens.get(state.current).scopes();
    let pending = std::mem::take(&mut state.pending);
    match keymap::find(&scopes, &pending, &name) {
        Match::Command(command) => commanded(state, command, effects),
        Match::Begin => state.pending = name,
        Match::Nothing => {}
    }
}

/// Does what a command says: here what is the same on all screens.
fn commanded(state: &mut State, command: Command, effects: &mut Vec<Effect>) {
    let scopes = state.screens.get(state.current).scopes();
    let needed = keymap::role(&scopes, command);
    if state.role() < needed {
        let why = if state.server.is_read_only { "this server is watched only" } else { "your role does not allow it" };
        state.complain(format!("that takes the role {}: {why}", needed.word()));
        return;
    }
    let look = look!(state);
    match command {
        Command::Quit => state.is_quitting = true,
        Command::Help => state.popups.push(Popup::help(&scopes)),
        Command::Palette => state.popups.push(Popup::palette(&scopes, &look)),
        Command::Contexts => state.popups.push(Popup::contexts(&state.servers, &state.server)),
        Command::Show(kind) => state.show(kind),
        Command::NextScreen => state.show(neighbour(state.current, 1)),
        Command::PreviousScreen => state.show(neighbour(state.current, ScreenKind::ALL.len() - 1)),
        Command::Back => {
            if !state.screens.get_mut(state.current).back()
                && let Some(kind) = state.history.pop()
            {
                state.current = kind;
            }
        }
        Command::Filter => {
            let text = state.screens.get(state.current).filter_text().to_owned();
            state.popups.push(Popup::Prompt(Box::new(Prompt::new(PromptKind::Filter, "filter", &text))));
        }
        Command::Copy | Command::CopyRecord => match state.screens.get(state.current).chosen(&look) {
            Some((_, record)) if command == Command::CopyRecord => {
                effects.push(Effect::Copy(serde_json::to_string_pretty(&record).unwrap_or_default()));
            }
            Some((text, _)) => effects.push(Effect::Copy(text)),
            None => state.complain("nothing is chosen"),
        },
        Command::Export => {
            let screen = state.screens.get(state.current);
            let text = serde_json::to_string_pretty(&screen.export(&look)).unwrap_or_default();
            effects.push(Effect::Export { name: state.current.title().to_lowercase(), text });
        }
        Command::Mouse => {
            state.has_mouse = !state.has_mouse;
            effects.push(Effect::Mouse(state.has_mouse));
            let words =
                if state.has_mouse { "the mouse is the console's" } else { "the mouse is the terminal's: select text" };
            state.say(words);
        }
        Command::Redraw => effects.push(Effect::Redraw),
        Command::Refresh => {
            let wants = state.wants();
            state.store.doubt(|want| wants.contains(want));
            state.say("asking the server again");
        }
        _ => {
            let deeds = state.screens.get_mut(state.current).command(command, &look);
            perform(state, deeds, effects);
        }
    }
}

fn neighbour(kind: ScreenKind, by: usize) -> ScreenKind {
    let all = ScreenKind::ALL;
    let index = all.iter().position(|other| *other == kind).unwrap_or(0);
    all.get((index + by) % all.len()).copied().unwrap_or(kind)
}

/// Does what screens and popups have done.
fn perform(state: &mut State, deeds: Vec<Deed>, effects: &mut Vec<Effect>) {
    for deed in deeds {
        match deed {
            Deed::Effect(effect) => {
                match &effect {
                    Effect::Watch { server, .. } => watch(state, server.clone()),
                    Effect::Chat { chat, .. } => state.screens.threads.began(*chat),
                    _ => {}
                }
                effects.push(effect);
            }
            Deed::Go(place) => visit(state, &place, effects),
            Deed::Ask(order) => {
                if let Some(reason) = refusal(state, &order) {
                    state.complain(reason);
                } else {
                    state.popups.push(Popup::Confirm(Box::new(order)));
                }
            }
            Deed::Carry(order) => carry(state, order, effects),
            Deed::Open(popup) => state.popups.push(*popup),
            Deed::Token(token) => {
                let server = state.server.clone();
                watch(state, server.clone());
                effects.push(Effect::Watch { server, token: Some(token) });
            }
            Deed::Say(text) => state.say(text),
            Deed::Complain(text) => state.complain(text),
        }
    }
}

fn refusal(state: &State, order: &Order) -> Option<String> {
    (state.role() < order.role()).then(|| format!("to {} takes the role {}", order.words(), order.role().word()))
}

fn carry(state: &mut State, order: Order, effects: &mut Vec<Effect>) {
    if let Some(reason) = refusal(state, &order) {
        state.complain(reason);
        return;
    }
    state.say(format!("{}: under way", order.words()));
    effects.push(Effect::Carry(Box::new(order)));
}

fn visit(state: &mut State, place: &Place, effects: &mut Vec<Effect>) {
    state.show(place.screen());
    let look = look!(state);
    let deeds = state.screens.get_mut(state.current).go(place, &look);
    // Where one is led to does not lead on.
    let deeds = deeds.into_iter().filter(|deed| !matches!(deed, Deed::Go(_))).collect();
    perform(state, deeds, effects);
}

/// Turns to a server: what was known was another's, unless it is only shown another token.
fn watch(state: &mut State, server: Server) {
    if server != state.server {
        state.store = Store::default();
        state.screens = Screens::default();
        state.history.clear();
        state.last_seen = None;
    }
    state.popups.clear();
    state.server = server;
    state.link = Link::Connecting;
    state.role = None;
    state.store.abandon();
    state.store.doubt(|_| true);
}

fn clicked(state: &mut State, mouse: MouseEvent, effects: &mut Vec<Effect>) {
    let at = Position::new(mouse.column, mouse.row);
    let rows = match mouse.kind {
        MouseEventKind::ScrollUp => -WHEEL,
        MouseEventKind::ScrollDown => WHEEL,
        MouseEventKind::Down(MouseButton::Left) => 0,
        // The others are the terminal's: its menu, its selection.
        _ => return,
    };
    let look = look!(state);
    if let Some(popup) = state.popups.last_mut() {
        popup.wheel(rows);
        return;
    }
    if rows != 0 {
        state.screens.get_mut(state.current).wheel(at, rows, &look);
        return;
    }
    if let Some(kind) = view::tab_at(state, at) {
        state.show(kind);
    } else if look.area.contains(at) {
        let deeds = state.screens.get_mut(state.current).click(at, &look);
        perform(state, deeds, effects);
    }
}

/// Returns where a popup lies.
pub(crate) fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}
