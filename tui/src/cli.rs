//! The command line, and what it makes of the configuration.

use std::path::PathBuf;

use anyhow::bail;
use clap::Parser;

use crate::{
    config::{self, Config, Server, TokenSource},
    screens::ScreenKind,
    theme::{ASCII, Depth, Palette, Theme, UNICODE},
};

/// Where a server is that nobody says anything about.
const USUAL: &str = "http://127.0.0.1:4111";

/// See and steer a running Hotbay from a terminal
#[derive(Debug, Parser)]
#[command(
    name = "hotbay-tui",
    version,
    about,
    after_help = "Keys: ? shows those that count, : finds everything by its name, q leaves.
Without a screen: hotbay-tui --screen runs --once --json | jq '.runs[0]'

The configuration (TOML) names servers:

  context = \"prod\"                # the one that is watched if none is named
  theme = \"light\"                 # dark, light or high-contrast
  [contexts.prod]
  url = \"https://hotbay.example\"
  token-command = [\"secret-tool\", \"lookup\", \"hotbay\", \"prod\"]   # or token-file, token-env
  read-only = true"
)]
pub(crate) struct Arguments {
    /// Where the server is; a path is its API's prefix, without one that is `/api` [default: this machine's port 4111]
    #[arg(long, env = "HOTBAY_URL", conflicts_with = "context")]
    url: Option<String>,
    /// A server of the configuration, by its name
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// A token to show the server
    #[arg(long, env = "HOTBAY_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file with the token
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Certificates that are trusted as well, as PEM
    #[arg(long, env = "HOTBAY_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Change nothing, whatever the token allows
    #[arg(long)]
    read_only: bool,
    /// The screen to begin with
    #[arg(long, value_enum, default_value = "overview")]
    pub(crate) screen: ScreenKind,
    /// What to narrow it to, as after `/`
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Print what the screen shows, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// With --once: as JSON
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// With --once: as text of so many columns and rows
    #[arg(long, requires = "once", value_name = "COLUMNSxROWS", value_parser = size, default_value = "120x36")]
    pub(crate) size: (u16, u16),
    /// Configuration file [default: ~/.config/hotbay/console.toml, if it is there]
    #[arg(long, env = "HOTBAY_CONSOLE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Colours for this background
    #[arg(long, value_enum)]
    theme: Option<Palette>,
    /// Draw with ASCII alone
    #[arg(long)]
    ascii: bool,
    /// Leave the mouse to the terminal; M changes it later
    #[arg(long)]
    no_mouse: bool,
    /// Any value but the empty one turns colours off
    #[arg(long, env = "NO_COLOR", num_args = 0..=1, default_missing_value = "1")]
    no_color: Option<String>,
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let (columns, rows) = text.split_once('x').ok_or("expected two numbers as in 120x36")?;
    let number = |text: &str| text.parse::<u16>().ok().filter(|number| (1..=1000).contains(number));
    match (number(columns), number(rows)) {
        (Some(columns), Some(rows)) => Ok((columns, rows)),
        _ => Err("expected two numbers from 1 to 1000 as in 120x36".into()),
    }
}

/// What is to be watched, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) server: Server,
    pub(crate) servers: Vec<Server>,
    pub(crate) theme: Theme,
    pub(crate) has_mouse: bool,
}

impl Arguments {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has no server of the name.
    pub(crate) fn plan(&self) -> anyhow::Result<Plan> {
        let file = Config::read(self.config.as_deref())?;
        let mut servers = file.servers();
        let named = self.context.as_ref().or_else(|| file.context.as_ref().filter(|_| self.url.is_none()));
        let mut server = match named {
            Some(name) => match servers.iter().find(|server| server.name == *name) {
                Some(server) => server.clone(),
                None => bail!("there is no context `{name}`; there are: {}", names(&servers)),
            },
            None => {
                let url = self.url.clone().unwrap_or_else(|| USUAL.to_owned());
                let name = url.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/');
                Server { name: name.to_owned(), url, ..Server::default() }
            }
        };
        match (&self.token, &self.token_file) {
            (Some(token), _) => server.token = TokenSource::Given(token.clone()),
            (None, Some(file)) => server.token = TokenSource::File(file.clone()),
            (None, None) => {}
        }
        server.is_read_only |= self.read_only;
        if let Some(ca) = &self.ca {
            server.ca = Some(ca.clone());
        }
        match servers.iter_mut().find(|other| other.name == server.name) {
            Some(same) => *same = server.clone(),
            None => servers.insert(0, server.clone()),
        }
        Ok(Plan { server, servers, theme: self.theme(&file), has_mouse: !self.no_mouse && !file.no_mouse })
    }

    /// Returns whether colours are off.
    pub(crate) fn is_plain(&self) -> bool {
        self.no_color.as_ref().is_some_and(|value| !value.is_empty())
    }

    fn theme(&self, file: &Config) -> Theme {
        let palette = self.theme.or(file.theme).unwrap_or(Palette::Dark);
        let has_all =
            config::variable("COLORTERM").is_some_and(|value| matches!(value.as_str(), "truecolor" | "24bit"));
        let depth = match (self.is_plain(), has_all) {
            (true, _) => Depth::Plain,
            (false, true) => Depth::Full,
            (false, false) => Depth::Sixteen,
        };
        let is_dumb = config::variable("TERM").is_some_and(|term| term == "linux" || term == "dumb");
        Theme::new(palette, depth, if self.ascii || file.ascii || is_dumb { &ASCII } else { &UNICODE })
    }
}

fn names(servers: &[Server]) -> String {
    let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
