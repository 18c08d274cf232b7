//! The only code that talks to a server: looks at it every second and carries out orders.
//!
//! Runs on its own runtime beside the terminal's thread; what it learns it sends as [`Action`]s.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use reqwest::{RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::mpsc::{Receiver, Sender},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    action::{Action, Request},
    api::{ErrorBody, Overview, PluginList},
};

/// How often the server is looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// A look is given up after this; the next one follows at once.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// A reload probes and opens a library, which a slow plugin may draw out.
const ORDER_TIMEOUT: Duration = Duration::from_mins(2);

/// A server, as a client sees it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    /// The prefix of every endpoint.
    base: Url,
    token: Option<String>,
}

impl Client {
    /// Makes a client of the server at `url`. A URL with a path names the API's prefix, one
    /// without means the default, `/api`.
    pub(crate) fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let mut base = Url::parse(url).with_context(|| format!("`{url}` is not a URL"))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            bail!("`{url}` is not an http or https URL");
        }
        if base.path() == "/" {
            base.set_path("/api");
        }
        // The process's provider is set once; whoever came first is as good.
        let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
        let builder = || reqwest::Client::builder().connect_timeout(LOOK_TIMEOUT).tcp_nodelay(true);
        // A machine without certificates can still watch a server on its own network.
        let http = builder().build().or_else(|_| builder().tls_certs_only([]).build());
        Ok(Self { http: http.context("cannot make an HTTP client")?, base, token })
    }

    /// Looks at everything the screen shows.
    pub(crate) async fn look(&self) -> anyhow::Result<Overview> {
        let list: PluginList = self.get("plugins").await?;
        let agents: Value = self.get("agents").await?;
        let tools: Value = self.get("tools").await?;
        Ok(Overview { agents: entries(&agents), tools: entries(&tools), plugins: list.plugins })
    }

    /// Has a plugin reloaded or rolled back.
    async fn carry_out(&self, request: &Request) -> anyhow::Result<()> {
        let url = self.endpoint(&["plugins", &request.plugin, request.order.word()])?;
        self.send(self.http.post(url).timeout(ORDER_TIMEOUT)).await?;
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, what: &str) -> anyhow::Result<T> {
        let url = self.endpoint(&[what])?;
        let response = self.send(self.http.get(url).timeout(LOOK_TIMEOUT)).await?;
        response.json().await.with_context(|| format!("the list of {what} reads like no Hotbay's"))
    }

    /// Segments are encoded, so no plugin's name can lead elsewhere.
    fn endpoint(&self, segments: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.base.clone();
        let Ok(mut path) = url.path_segments_mut() else { bail!("`{}` has no path", self.base) };
        path.pop_if_empty().extend(segments);
        drop(path);
        Ok(url)
    }

    async fn send(&self, mut request: RequestBuilder) -> anyhow::Result<Response> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| anyhow::anyhow!(root_cause(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        match response.json::<ErrorBody>().await {
            Ok(body) => bail!("{status}: {}", body.error),
            Err(_) => bail!("the server answered {status}"),
        }
    }
}

/// Looks at the server every second and carries out requests, until the console hangs up.
pub(crate) async fn watch(client: Client, actions: Sender<Action>, mut requests: Receiver<Request>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Beside the looks: an order may take longer than a second.
    let mut orders = JoinSet::new();
    loop {
        let action = tokio::select! {
            Some(done) = orders.join_next() => done.unwrap_or_else(|error| Action::Refused(error.to_string())),
            request = requests.recv() => {
                let Some(request) = request else { return };
                let client = client.clone();
                orders.spawn(async move { carried_out(&client, &request).await });
                continue;
            }
            _ = ticks.tick() => looked(&client).await,
        };
        if actions.send(action).await.is_err() {
            return;
        }
    }
}

async fn looked(client: &Client) -> Action {
    match client.look().await {
        Ok(overview) => Action::Loaded { overview, at: time_of_day(SystemTime::now()) },
        Err(error) => Action::Lost(format!("{error:#}")),
    }
}

async fn carried_out(client: &Client, request: &Request) -> Action {
    let (order, plugin) = (request.order.word(), &request.plugin);
    match client.carry_out(request).await {
        Ok(()) => Action::Done(format!("{order} of `{plugin}` is done")),
        Err(error) => Action::Refused(format!("{order} of `{plugin}` failed: {error:#}")),
    }
}

/// Lists are objects with a member for each entry; an array counts as well.
fn entries(list: &Value) -> usize {
    list.as_object().map(serde_json::Map::len).or_else(|| list.as_array().map(Vec::len)).unwrap_or(0)
}

/// The innermost error says "connection refused", the outer ones repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() { "the server does not answer in time".into() } else { cause.to_string() }
}

/// `HH:MM:SS UTC`: the one zone that needs no database.
fn time_of_day(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests;
