//! The operator's console of Hotbay: screens over the public API of a running server.
//!
//! [`app`] is the state and its only writer, [`view`] and [`screens`] draw it, [`client`] talks to
//! the server; they meet in [`action`]s. What happens becomes an action; `update` changes the state
//! and says what is to be done outside; what that brings is an action again. Screens say what they
//! want to know ([`want`]); the [`store`] asks for it when it is not known or no longer true, which
//! the server's live events tell. Knows the server by its API alone, as any other client would.

use std::{
    io::{ErrorKind, IsTerminal, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Parser;
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyModifiers};
use futures::StreamExt;
use ratatui::{Terminal, backend::TestBackend};
use tokio::sync::mpsc::{self, Receiver};

use crate::{
    action::{Action, Effect, News},
    app::State,
    cli::{Arguments, Plan},
    client::{Client, Worker},
    terminal::Screen,
};

mod action;
mod app;
mod cli;
mod client;
mod config;
mod json;
mod keymap;
mod live;
mod order;
mod parts;
mod popups;
mod screens;
mod store;
mod terminal;
#[cfg(test)]
mod tests;
mod theme;
mod view;
mod want;

/// The shortest time between two drawings: nobody sees more.
const FRAME: Duration = Duration::from_millis(16);
/// How long `--once` waits for what the screen shows.
const ONCE: Duration = Duration::from_secs(30);
/// The server's news that wait; a console that is busy makes it wait.
const NEWS: usize = 64;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = arguments.plan()?;
    // A URL that is none, or a token that cannot be read, is told before there is a screen.
    let client = Client::of(&plan.server, None)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).max_blocking_threads(2).enable_all().build()?;
    let done = runtime.block_on(async {
        if arguments.once {
            return once(&arguments, plan, &client).await;
        }
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            bail!("the console needs a terminal; scripts use --once --json");
        }
        interact(&arguments, plan, client).await
    });
    // Whatever is under way with the server is given up.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Shows the screen until the operator leaves.
async fn interact(arguments: &Arguments, plan: Plan, client: Client) -> anyhow::Result<()> {
    let (sender, news) = mpsc::channel(NEWS);
    let mut worker = Worker::new(sender);
    worker.watch(client);
    let size = crossterm::terminal::size().context("cannot ask the terminal for its size")?;
    let mut state = State::new(plan.server, plan.servers, plan.theme, size, now());
    state.current = arguments.screen;
    state.has_mouse = plan.has_mouse;
    if let Some(filter) = &arguments.filter {
        filtered(&mut state, filter)?;
    }
    let mut screen = Screen::take(plan.has_mouse, arguments.is_plain()).context("cannot take over the terminal")?;
    run(&mut screen, &mut state, &mut worker, news).await
}

fn filtered(state: &mut State, filter: &str) -> anyhow::Result<()> {
    let (store, screens) = (&state.store, &mut state.screens);
    let look = screens::Look {
        store,
        theme: state.theme,
        now: state.now,
        area: view::screen_area(state.size),
        role: order::Role::Viewer,
    };
    screens.get_mut(state.current).filter(filter, &look).map_err(|reason| anyhow::anyhow!("--filter: {reason}"))
}

/// Draws, waits for something to happen, and so on.
async fn run(
    screen: &mut Screen,
    state: &mut State,
    worker: &mut Worker,
    mut news: Receiver<(u64, News)>,
) -> anyhow::Result<()> {
    let mut input = EventStream::new();
    let mut signals = Signals::listen()?;
    take(state, Action::Now(now()), worker, screen)?;
    let mut drawn: Option<Instant> = None;
    let mut is_dirty = true;
    loop {
        let is_due = drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME);
        if is_dirty && is_due {
            screen.draw(|frame| view::draw(state, frame))?;
            (drawn, is_dirty) = (Some(Instant::now()), false);
        }
        // Either the next drawing or the next thing that has to be done though nothing happens.
        let pause = if is_dirty {
            drawn.map(|drawn| FRAME.saturating_sub(drawn.elapsed()))
        } else {
            let until = state.wake.map(|wake| wake.saturating_sub(now()));
            until.map(|until| Duration::from_millis(u64::try_from(until).unwrap_or(0).max(1)))
        };
        let timer = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        // A key never waits for what the server has to say.
        let happened = tokio::select! {
            biased;
            event = input.next() => match event {
                Some(event) => Happened::Event(event.context("cannot read the terminal")?),
                None => return Ok(()),
            },
            signal = signals.next() => match signal {
                Signal::End => return Ok(()),
                Signal::Stop => Happened::Stop,
            },
            told = news.recv() => match told {
                Some((turn, told)) => Happened::News(turn, told),
                None => bail!("the client ended"),
            },
            () = timer => Happened::Time,
        };
        let is_idle = matches!(happened, Happened::Time) && is_dirty;
        if !is_idle {
            take(state, Action::Now(now()), worker, screen)?;
            is_dirty = true;
        }
        match happened {
            Happened::Event(event) => event_came(state, event, worker, screen)?,
            Happened::Stop => suspend(screen)?,
            Happened::News(turn, told) => {
                heard(state, turn, told, worker, screen)?;
                // What waits already is taken together, but not for longer than a frame.
                let start = Instant::now();
                while start.elapsed() < FRAME
                    && let Ok((turn, told)) = news.try_recv()
                {
                    heard(state, turn, told, worker, screen)?;
                }
            }
            Happened::Time => {}
        }
        if state.is_quitting {
            return Ok(());
        }
    }
}

/// What ended the wait.
enum Happened {
    Event(Event),
    Stop,
    /// Of a turn of the worker's.
    News(u64, News),
    Time,
}

fn event_came(state: &mut State, event: Event, worker: &mut Worker, screen: &mut Screen) -> anyhow::Result<()> {
    let action = match event {
        Event::Key(KeyEvent { code: KeyCode::Char('z'), modifiers: KeyModifiers::CONTROL, .. }) => {
            return suspend(screen);
        }
        Event::Key(key) => Action::Key(key),
        Event::Paste(text) => Action::Paste(text),
        Event::Mouse(mouse) => Action::Mouse(mouse),
        Event::Resize(columns, rows) => Action::Resize(columns, rows),
        Event::FocusGained | Event::FocusLost => return Ok(()),
    };
    take(state, action, worker, screen)
}

/// Takes what is said of the server that is watched; what comes of another is too late.
fn heard(state: &mut State, turn: u64, told: News, worker: &mut Worker, screen: &mut Screen) -> anyhow::Result<()> {
    if turn == worker.turn() { take(state, Action::News(told), worker, screen) } else { Ok(()) }
}

/// Changes the state and does what that asks for.
fn take(state: &mut State, action: Action, worker: &mut Worker, screen: &mut Screen) -> anyhow::Result<()> {
    for effect in app::update(state, action) {
        match worker.perform(effect) {
            Some(Effect::Copy(text)) => match Screen::copy(&text) {
                Ok(done) => state.say(done),
                Err(reason) => state.complain(reason),
            },
            Some(Effect::Mouse(has_mouse)) => screen.set_mouse(has_mouse)?,
            Some(Effect::Redraw) => screen.forget()?,
            _ => {}
        }
    }
    Ok(())
}

/// Gives the terminal to the shell until it is told to go on.
fn suspend(screen: &mut Screen) -> anyhow::Result<()> {
    screen.leave()?;
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).context("cannot stop")?;
    screen.enter()?;
    Ok(())
}

/// What a system tells a program.
enum Signal {
    /// To end.
    End,
    /// To stop for a while.
    Stop,
}

/// Listens for them.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    stop: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            stop: signal(SignalKind::from_raw(nix::libc::SIGTSTP))?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.hang_up.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.stop.recv() => Signal::Stop,
        }
    }
}

/// Prints what the screen shows once everything it wants is known.
async fn once(arguments: &Arguments, plan: Plan, client: &Client) -> anyhow::Result<()> {
    let mut state = State::new(plan.server, plan.servers, plan.theme, arguments.size, now());
    state.current = arguments.screen;
    state.link = app::Link::Live;
    if let Some(filter) = &arguments.filter {
        filtered(&mut state, filter)?;
    }
    let start = Instant::now();
    let mut effects = app::update(&mut state, Action::Now(now()));
    loop {
        // What is learned may make a screen want more: the rows of what it lists.
        let wants: Vec<want::Want> = effects
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Fetch(want) => Some(want),
                _ => None,
            })
            .collect();
        if wants.is_empty() {
            break;
        }
        let answers = futures::future::join_all(wants.iter().map(|want| client.fetch(want))).await;
        for (want, answer) in wants.into_iter().zip(answers) {
            if let Err(failure) = &answer
                && failure.status != Some(404)
            {
                bail!("{}: {}", state.server.url, failure.message);
            }
            state.store.learn(&want, answer, state.now);
        }
        if start.elapsed() > ONCE {
            bail!("{} does not answer in time", state.server.url);
        }
        let now = state.now;
        effects = app::update(&mut state, Action::Now(now));
    }
    let look = state.look();
    if arguments.json {
        return say(&serde_json::to_string(&state.screens.get(state.current).export(&look))?);
    }
    let (columns, rows) = arguments.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows))?;
    terminal.draw(|frame| view::draw(&state, frame))?;
    say(&parts::frame::text(terminal.backend().buffer()))
}

/// Prints a line. Whoever reads may have read enough, as `head` does.
fn say(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot print"),
    }
}

#[expect(clippy::print_stderr, reason = "the command's own complaint")]
fn complain(error: &anyhow::Error) {
    eprintln!("hotbay-tui: {error:#}");
}
