//! The console's file: which servers there are, and how they are shown.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::theme::Palette;

/// How long a command may take to print a token: nothing else happens meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// The whole file, TOML.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// The name of the server that is watched if none is named.
    pub(crate) context: Option<String>,
    pub(crate) theme: Option<Palette>,
    /// Whether only ASCII is drawn.
    pub(crate) ascii: bool,
    /// Whether the mouse is left to the terminal.
    pub(crate) no_mouse: bool,
    /// Servers by name.
    pub(crate) contexts: BTreeMap<String, Remote>,
}

/// One server of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Remote {
    url: String,
    /// The variable its token is in.
    token_env: Option<String>,
    /// The file its token is in.
    token_file: Option<PathBuf>,
    /// A command that prints its token, as a keyring's does.
    token_command: Option<Vec<String>>,
    #[serde(default)]
    read_only: bool,
    /// A file of certificates that are trusted as well, as PEM.
    ca: Option<PathBuf>,
}

/// A server to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Server {
    /// What it is called.
    pub(crate) name: String,
    pub(crate) url: String,
    /// Where its token comes from.
    pub(crate) token: TokenSource,
    /// Whether nothing is changed there, whatever the token would allow.
    pub(crate) is_read_only: bool,
    /// A file of certificates that are trusted as well.
    pub(crate) ca: Option<PathBuf>,
}

/// Where a token comes from. Read when a server is turned to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum TokenSource {
    #[default]
    None,
    /// Given on the command line or in `HOTBAY_TOKEN`.
    Given(String),
    Variable(String),
    File(PathBuf),
    Command(Vec<String>),
}

impl TokenSource {
    /// Returns the token, if there is one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or the command fails.
    pub(crate) fn read(&self) -> anyhow::Result<Option<String>> {
        let token = match self {
            Self::None => return Ok(None),
            Self::Given(token) => token.clone(),
            Self::Variable(name) => match variable(name) {
                Some(token) => token,
                None => bail!("the variable {name}, where the token should be, is not set"),
            },
            Self::File(file) => {
                fs::read_to_string(file).with_context(|| format!("cannot read the token in {}", file.display()))?
            }
            Self::Command(words) => output(words)?,
        };
        Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty()))
    }
}

fn output(words: &[String]) -> anyhow::Result<String> {
    let Some((program, arguments)) = words.split_first() else { bail!("the command for the token is empty") };
    let mut command = Command::new(program);
    // It cannot ask here: the terminal is the console's.
    command.args(arguments).stdin(Stdio::null());
    let (done, output) = mpsc::channel();
    std::thread::spawn(move || done.send(command.output()).is_ok());
    let Ok(output) = output.recv_timeout(PATIENCE) else {
        bail!("`{program}` gave no token within {} seconds", PATIENCE.as_secs());
    };
    let output = output.with_context(|| format!("cannot run `{program}` for the token"))?;
    if !output.status.success() {
        bail!("`{program}` gave no token: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{program}` printed no text"))
}

/// Returns a variable of the environment that is set and not empty.
#[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the file that is read if none is named: `$XDG_CONFIG_HOME/hotbay/console.toml`.
pub(crate) fn usual_file() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(variable("HOME")?).join(".config"));
    let base = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
    Some(base.join("hotbay").join("console.toml"))
}

impl Config {
    /// Reads a file. One that is not named may be missing.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or says what is unknown: with the line.
    pub(crate) fn read(named: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = named.map(Path::to_owned).or_else(usual_file) else { return Ok(Self::default()) };
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        toml::from_str(&text).with_context(|| format!("{} is not as it should be", file.display()))
    }

    /// Returns the servers of the file by name.
    pub(crate) fn servers(&self) -> Vec<Server> {
        let servers = self.contexts.iter().map(|(name, context)| Server {
            name: name.clone(),
            url: context.url.clone(),
            token: context.token(),
            is_read_only: context.read_only,
            ca: context.ca.clone(),
        });
        servers.collect()
    }
}

impl Remote {
    fn token(&self) -> TokenSource {
        let command = self.token_command.clone().map(TokenSource::Command);
        let file = self.token_file.clone().map(TokenSource::File);
        let variable = self.token_env.clone().map(TokenSource::Variable);
        command.or(file).or(variable).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Config> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("console.toml");
        fs::write(&file, text)?;
        Config::read(Some(&file))
    }

    #[test]
    fn servers_have_names_and_their_tokens_places() {
        let config = read(
            "context = 'prod'\ntheme = 'light'\n[contexts.prod]\nurl = 'https://a'\ntoken-command = ['echo', ' t ']\n\
             read-only = true\n[contexts.dev]\nurl = 'http://b'\n",
        )
        .unwrap();
        let servers = config.servers();
        assert_eq!(servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>(), ["dev", "prod"]);
        assert_eq!(servers[1].token.read().unwrap().as_deref(), Some("t"));
        assert!(servers[1].is_read_only);
        assert_eq!(servers[0].token.read().unwrap(), None);
    }

    #[test]
    fn what_is_unknown_is_told_with_its_line() {
        let error = read("contexts = {}\nthmee = 'dark'\n").unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("thmee") && text.contains("line 2"), "{text}");
    }

    #[test]
    fn a_token_that_should_be_there_and_is_not_is_an_error() {
        let source = TokenSource::Variable("HOTBAY_TEST_NO_SUCH_VARIABLE".into());
        assert!(source.read().unwrap_err().to_string().contains("HOTBAY_TEST_NO_SUCH_VARIABLE"));
        assert!(TokenSource::File("/no/such/file".into()).read().is_err());
        assert!(TokenSource::Command(vec!["false".into()]).read().is_err());
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        assert!(Config::read(Some(Path::new("/no/such/file"))).is_err());
    }
}
