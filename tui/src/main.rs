//! The operator's console of Hotbay: one screen over the public API of a running server.
//!
//! [`app`] is the state and its only writer, [`screens`] draws it, [`client`] talks to the server;
//! they meet in [`action`]s. Knows the server by its API alone, as any other client would.

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::Parser;
use crossterm::event::{self, Event};
use ratatui::DefaultTerminal;
use tokio::sync::mpsc::{self, Receiver, Sender, error::TryRecvError};

use crate::{
    action::{Action, Request},
    app::State,
    client::Client,
    theme::Theme,
};

mod action;
mod api;
mod app;
mod client;
mod keymap;
mod screens;
mod theme;

/// How long a key is waited for before the server's news are looked at: a new answer shows this
/// late at most.
const GLANCE: Duration = Duration::from_millis(50);

/// Watch a running Hotbay and direct its plugins
#[derive(Parser)]
#[command(name = "hotbay-tui", version, about)]
struct Arguments {
    /// Where the server is; a path is its API's prefix, without one that is `/api`
    #[arg(long, env = "HOTBAY_URL", default_value = "http://127.0.0.1:4111")]
    url: String,
    /// A token to show the server
    #[arg(long, env = "HOTBAY_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print what the screen would show, as JSON, and end
    #[arg(long, requires = "json")]
    once: bool,
    /// With --once
    #[arg(long, requires = "once")]
    json: bool,
    /// Any value but the empty one turns colours off
    #[arg(long, env = "NO_COLOR", num_args = 0..=1, default_missing_value = "1")]
    no_color: Option<String>,
}

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
    let client = Client::new(&arguments.url, arguments.token)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if arguments.once {
        let overview = runtime.block_on(client.look()).with_context(|| format!("no answer from {}", arguments.url))?;
        say(&serde_json::to_string(&overview)?);
        return Ok(());
    }
    if !std::io::stdout().is_terminal() {
        bail!("the screen needs a terminal: use --once --json");
    }
    // Each look is one action and the screen takes them 20 times a second; a full channel makes
    // the client wait.
    let (actions, news) = mpsc::channel(16);
    // As many orders as a person gives before the first is taken up; more are refused.
    let (orders, requests) = mpsc::channel(16);
    let network = std::thread::Builder::new().name("client".into());
    network.spawn(move || runtime.block_on(client::watch(client, actions, requests)))?;
    let theme = Theme::new(arguments.no_color.is_none_or(|value| value.is_empty()));
    // Also restores the terminal if anything panics.
    let mut terminal = ratatui::try_init().context("cannot take over the terminal")?;
    let done = run(&mut terminal, State::new(arguments.url), theme, news, &orders);
    ratatui::restore();
    done
}

/// Draws, waits for a key or for news, and so on until the operator leaves.
fn run(
    terminal: &mut DefaultTerminal,
    mut state: State,
    theme: Theme,
    mut news: Receiver<Action>,
    orders: &Sender<Request>,
) -> anyhow::Result<()> {
    while !state.is_quitting {
        terminal.draw(|frame| screens::plugins::draw(&state, theme, frame))?;
        let mut actions = Vec::new();
        if event::poll(GLANCE)?
            && let Event::Key(key) = event::read()?
        {
            actions.extend(keymap::action(key, !state.popups.is_empty()));
        }
        loop {
            match news.try_recv() {
                Ok(action) => actions.push(action),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => bail!("the client's thread ended"),
            }
        }
        for action in actions {
            let Some(request) = app::update(&mut state, action) else { continue };
            if orders.try_send(request).is_err() {
                app::update(&mut state, Action::Refused("too many orders wait already".into()));
            }
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the command's own complaint")]
fn complain(error: &anyhow::Error) {
    eprintln!("hotbay-tui: {error:#}");
}
