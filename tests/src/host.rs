//! A real Hotbay as a child process, with directories of its own.
//!
//! The binary and the plugins are those that were built beside the running
//! test: `cargo build --workspace` comes first. A test that panics shows what
//! its host logged; a host never outlives its [`TestHost`].

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::{Instant, interval, timeout};

use crate::built::{built, copy_plugin};
use crate::http::{self, Address, Incomplete, Outgoing};
use crate::replay::answer::Answer;
use crate::replay::client;
use crate::sse::SseReader;

/// How long a host may take to say where it listens, and then to be healthy.
const START: Duration = Duration::from_secs(30);
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How often a condition of the child is looked at.
const INTERVAL: Duration = Duration::from_millis(10);
/// The line a host prints once its socket accepts connections.
const LISTENING: &str = "listening on ";

/// Says what a [`TestHost`] is started with.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    config: Option<PathBuf>,
    config_text: Option<String>,
    plugins: Vec<String>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    data: Option<PathBuf>,
    isolated: bool,
}

impl Builder {
    /// Has plugins run in processes of their own.
    #[must_use]
    pub fn isolated(mut self) -> Self {
        self.isolated = true;
        self
    }

    /// Uses this directory as the data directory, which must be there.
    #[must_use]
    pub fn data(mut self, path: impl Into<PathBuf>) -> Self {
        self.data = Some(path.into());
        self
    }

    /// Uses this configuration file; without one the host has an empty one.
    #[must_use]
    pub fn config(mut self, path: impl Into<PathBuf>) -> Self {
        self.config = Some(path.into());
        self
    }

    /// Writes this text to a configuration file and uses it.
    #[must_use]
    pub fn config_text(mut self, text: impl Into<String>) -> Self {
        self.config_text = Some(text.into());
        self
    }

    /// Puts the plugin built from this crate into the plugin directory before the start.
    #[must_use]
    pub fn plugin(mut self, crate_name: &str) -> Self {
        self.plugins.push(crate_name.to_owned());
        self
    }

    /// Adds an argument after those every host gets.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets a variable of the host's environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the host and waits until it is healthy.
    ///
    /// # Errors
    ///
    /// When something is not built, or the host ends or does not answer in time; the error holds its log.
    pub async fn start(self) -> anyhow::Result<TestHost> {
        let home = TempDir::with_prefix("hotbay-test-")?;
        // What it stores is in a directory it makes itself.
        std::fs::create_dir(home.path().join("plugins"))?;
        let config = match (&self.config, &self.config_text) {
            (Some(path), None) => path.clone(),
            (None, text) => {
                let path = home.path().join("hotbay.toml");
                std::fs::write(&path, text.as_deref().unwrap_or_default())?;
                path
            }
            (Some(_), Some(_)) => bail!("a host has one configuration: a file or a text"),
        };
        for plugin in &self.plugins {
            copy_plugin(plugin, &home.path().join("plugins"))?;
        }
        let mut host = TestHost { home, config, builder: self, running: None };
        host.launch().await?;
        Ok(host)
    }
}

/// A host that runs as a child process until it is dropped.
#[derive(Debug)]
pub struct TestHost {
    home: TempDir,
    config: PathBuf,
    builder: Builder,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    address: Address,
}

impl TestHost {
    /// Says what to start it with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The URL of a path on this host.
    pub fn url(&self, path: &str) -> String {
        self.address().url(path)
    }

    /// Where the host listens, for requests with [`http::send`].
    ///
    /// # Panics
    ///
    /// When the host was stopped and not started again.
    pub fn address(&self) -> &Address {
        &self.running.as_ref().expect("the host was stopped").address
    }

    /// The host's process id.
    ///
    /// # Panics
    ///
    /// When the host was stopped and not started again.
    pub fn process_id(&self) -> u32 {
        self.running.as_ref().expect("the host was stopped").child.id()
    }

    /// The host's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.builder.data.clone().unwrap_or_else(|| self.home.path().join("data"))
    }

    /// The directory the host loads plugins from.
    pub fn plugin_dir(&self) -> PathBuf {
        self.home.path().join("plugins")
    }

    /// What the host has written to its standard error so far.
    pub fn log(&self) -> String {
        std::fs::read(self.log_file()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// Puts the plugin built from a crate into the plugin directory, as one rename; returns its file.
    ///
    /// # Errors
    ///
    /// When the plugin is not built.
    pub fn copy_plugin(&self, crate_name: &str) -> anyhow::Result<PathBuf> {
        copy_plugin(crate_name, &self.plugin_dir())
    }

    /// Sends a request and gives the whole answer.
    ///
    /// # Errors
    ///
    /// When no answer comes, or it does not end.
    pub async fn send(&self, request: Outgoing) -> anyhow::Result<Answer> {
        let what = format!("{} {}", request.method, request.path);
        let answer = client::send(self.address(), request, LIMIT, None).await;
        if let Some(error) = &answer.error {
            bail!("{what}: {error}");
        }
        ensure!(!answer.timed_out, "{what}: no whole answer within {LIMIT:?}");
        Ok(answer)
    }

    /// Sends a request and gives the answer once its head has come. Dropping it hangs up.
    ///
    /// # Errors
    ///
    /// When no answer comes.
    pub async fn send_head(&self, request: Outgoing) -> anyhow::Result<Incomplete> {
        timeout(LIMIT, http::send(self.address(), request)).await.context("no answer in time")?
    }

    /// The status and the JSON at a path.
    ///
    /// # Errors
    ///
    /// When no answer comes, or it is not JSON.
    pub async fn get_json(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        json(self.send(Outgoing::get(path)).await?)
    }

    /// The status and the JSON that a JSON body is answered with.
    ///
    /// # Errors
    ///
    /// As [`TestHost::get_json`].
    pub async fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        json(self.send(Outgoing::post(path, body)).await?)
    }

    /// Posts a JSON body and reads the events that come back. Dropping the reader hangs up.
    ///
    /// # Errors
    ///
    /// When no answer comes, or it is no event stream.
    pub async fn sse(&self, path: &str, body: &Value) -> anyhow::Result<SseReader> {
        let request = Outgoing::post(path, body).header("accept", "text/event-stream");
        let answer = timeout(LIMIT, http::send(self.address(), request)).await.context("no answer in time")??;
        SseReader::new(answer)
    }

    /// Sets a variable of the host's environment from its next start on, or takes it out.
    pub fn set_variable(&mut self, name: &str, value: Option<&str>) {
        let variables = &mut self.builder.variables;
        variables.retain(|(known, _)| known != name);
        variables.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// Whether the host has ended by itself, or was stopped.
    ///
    /// # Errors
    ///
    /// When its state cannot be asked for.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(match &mut self.running {
            None => true,
            Some(running) => running.child.try_wait()?.is_some(),
        })
    }

    /// Ends the host at once, as a crash would, and waits for its end.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        let mut running = self.running.take().context("the host does not run")?;
        running.child.kill()?;
        Ok(running.child.wait()?)
    }

    /// Ends the host at once, as a crash would; others may be asking it something.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn strike(&self) -> anyhow::Result<()> {
        self.signal("KILL")
    }

    /// Asks the host to stop, as a service supervisor would, and waits for its end.
    ///
    /// # Errors
    ///
    /// When it does not run, or runs on beyond the deadline.
    pub async fn stop(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        self.signal("TERM")?;
        let mut running = self.running.take().context("the host does not run")?;
        let (end, mut ticks) = (Instant::now() + deadline, interval(INTERVAL));
        loop {
            ticks.tick().await;
            if let Some(status) = running.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                self.running = Some(running);
                bail!("the host did not stop within {deadline:?}");
            }
        }
    }

    /// Halts the host in the middle of whatever it does, as a machine that is put to sleep would.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// Lets a paused host go on.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn unpause(&self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.running.as_ref().context("the host does not run")?.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status()?;
        ensure!(sent.success(), "process {id} takes no {name}");
        Ok(())
    }

    /// Starts the host again on the same directories, after killing it if it runs. Its port changes.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        if self.running.is_some() {
            self.kill()?;
        }
        self.launch().await
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let mut child = Command::new(built("hotbay")?)
            .arg("serve")
            .arg("--config")
            .arg(&self.config)
            .args(["--listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(self.data_dir())
            .arg(if self.builder.isolated { "--isolated-plugins" } else { "--plugins" })
            .arg(self.plugin_dir())
            .args(&self.builder.arguments)
            .envs(self.builder.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("start the host")?;
        let said = listen(child.stdout.take().context("the host's output is piped")?);
        // The child is in a `TestHost` before anything can fail, so that it is always ended.
        self.running = Some(Running { child, address: Address::parse("http://127.0.0.1:1")? });
        let started = timeout(START, self.wait_until_healthy(said)).await;
        let started = started.unwrap_or_else(|_| bail!("it was not healthy within {START:?}"));
        if let Err(error) = started {
            let (status, log) = (self.kill()?, self.log());
            return Err(error.context(format!("the host did not start ({status}); it logged:\n{log}")));
        }
        Ok(())
    }

    async fn wait_until_healthy(&mut self, said: oneshot::Receiver<String>) -> anyhow::Result<()> {
        let url = said.await.with_context(|| format!("it never printed `{LISTENING}URL`"))?;
        let running = self.running.as_mut().context("the host does not run")?;
        if let Some(rest) = url.strip_prefix("https://") {
            // Who speaks TLS with it brings the certificate; that it listens means that it answers.
            running.address = Address::parse(&format!("http://{rest}"))?;
            return Ok(());
        }
        running.address = Address::parse(&url)?;
        let mut ticks = interval(INTERVAL);
        loop {
            ticks.tick().await;
            if let Some(status) = running.child.try_wait()? {
                bail!("it ended with {status}");
            }
            let answer = client::send(&running.address, Outgoing::get("/health"), LIMIT, None).await;
            if answer.status == Some(200) {
                return Ok(());
            }
        }
    }

    fn log_file(&self) -> PathBuf {
        self.home.path().join("host.log")
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            // It may have ended by itself; then there is nothing to kill and the status is there.
            running.child.kill().ok();
            running.child.wait().ok();
        }
        if std::thread::panicking() {
            show(&self.log());
        }
    }
}

/// Reads the host's output to its end on a thread; gives the URL in the line that says where it listens.
pub(crate) fn listen(output: impl Read + Send + 'static) -> oneshot::Receiver<String> {
    let (sender, receiver) = oneshot::channel();
    let mut sender = Some(sender);
    std::thread::spawn(move || {
        // A host whose output nobody reads would block once the pipe is full.
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let url = line.split_once(LISTENING).and_then(|(_, rest)| rest.split_whitespace().next());
            if let Some(url) = url
                && let Some(sender) = sender.take()
            {
                sender.send(url.to_owned()).ok();
            }
        }
    });
    receiver
}

fn json(answer: Answer) -> anyhow::Result<(u16, Value)> {
    let status = answer.status.context("an answer has a status")?;
    let text = answer.text();
    let value = serde_json::from_str(&text).with_context(|| format!("{status} whose body is not JSON: {text}"))?;
    Ok((status, value))
}

#[expect(clippy::print_stderr, reason = "the output of a failed test is where the host's log is looked for")]
pub(crate) fn show(log: &str) {
    eprintln!("---- the host logged ----\n{log}----");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_url_is_found_in_the_hosts_output() {
        let output = "hello\nlistening on http://127.0.0.1:4111 (pid 1)\nlistening on http://x\n";
        assert_eq!(listen(output.as_bytes()).await.as_deref(), Ok("http://127.0.0.1:4111"));
        assert!(listen(&b"goodbye\n"[..]).await.is_err());
    }
}
