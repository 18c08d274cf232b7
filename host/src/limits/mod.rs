//! How much is asked of the host at this moment, and whether it may be more.
//!
//! What is new is turned away once there is too much, what goes on is left alone. A caller takes a
//! place and gives it back by dropping it; places are counted with atomics, so none waits for
//! another. Who a caller is, is [`Client`]; what each has taken is in [`accounts`].

pub mod accounts;
mod client;
mod rate;
mod run_slot;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    config::LimitSettings,
    observe::metrics::{Kind, Text},
};
use accounts::{Account, Accounts};
pub use client::Client;
pub use run_slot::RunSlot;

/// When who was turned away may try again, if nothing says more.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What somebody came up against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Too many connections.
    Connections,
    /// Too many of one address.
    ClientConnections,
    /// TLS was not begun in time.
    HandshakeTime,
    /// A request's line and headers are too long, or too many.
    Headers,
    /// They did not come in time.
    HeaderTime,
    /// Nothing was asked for too long.
    IdleTime,
    /// Nothing was read for too long.
    WriteTime,
    /// A URL is too long.
    Url,
    /// A body is too long.
    Body,
    /// Bodies take too much memory.
    Bodies,
    /// A body did not come in time.
    BodyTime,
    /// JSON is nested too deep.
    JsonDepth,
    /// Too many requests are being answered.
    Requests,
    /// An answer took too long.
    RequestTime,
    /// A client asks too often.
    ClientRate,
    /// Too many runs.
    Runs,
    /// Too many of one client.
    ClientRuns,
    /// Too many streams.
    Streams,
    /// Too many of one client.
    ClientStreams,
}

impl Limit {
    /// All there are.
    pub const ALL: [Self; 19] = [
        Self::Connections,
        Self::ClientConnections,
        Self::HandshakeTime,
        Self::Headers,
        Self::HeaderTime,
        Self::IdleTime,
        Self::WriteTime,
        Self::Url,
        Self::Body,
        Self::Bodies,
        Self::BodyTime,
        Self::JsonDepth,
        Self::Requests,
        Self::RequestTime,
        Self::ClientRate,
        Self::Runs,
        Self::ClientRuns,
        Self::Streams,
        Self::ClientStreams,
    ];

    /// Its name among what is counted; mostly that of its setting.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ClientConnections => "client_connections",
            Self::HandshakeTime => "handshake_time",
            Self::Headers => "headers",
            Self::HeaderTime => "header_time",
            Self::IdleTime => "idle_time",
            Self::WriteTime => "write_time",
            Self::Url => "url_bytes",
            Self::Body => "body_limit",
            Self::Bodies => "body_bytes",
            Self::BodyTime => "body_time",
            Self::JsonDepth => "json_depth",
            Self::Requests => "requests",
            Self::RequestTime => "request_time",
            Self::ClientRate => "client_rate",
            Self::Runs => "runs",
            Self::ClientRuns => "client_runs",
            Self::Streams => "streams",
            Self::ClientStreams => "client_streams",
        }
    }
}

/// Somebody was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// What there was too much of.
    pub limit: Limit,
    /// When to come back.
    pub retry_after: Duration,
}

/// Places that are counted, not handed out: all are alike.
#[derive(Debug)]
struct Places {
    most: usize,
    taken: AtomicUsize,
}

impl Places {
    fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0) }
    }

    fn take(&self) -> bool {
        self.add(1)
    }

    /// Takes several if there are as many.
    fn add(&self, count: usize) -> bool {
        let fits = self.taken.fetch_add(count, Ordering::Relaxed).saturating_add(count) <= self.most;
        if !fits {
            self.give(count);
        }
        fits
    }

    fn give(&self, count: usize) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// What is asked of the host.
#[derive(Debug)]
pub struct Limits {
    settings: LimitSettings,
    began: Instant,
    connections: Places,
    requests: Places,
    runs: Places,
    streams: Places,
    body_bytes: Places,
    accounts: Accounts,
    rate: rate::Rate,
    /// How often each limit was come up against.
    hits: [AtomicU64; Limit::ALL.len()],
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    account: Arc<Account>,
}

/// What a [`Slot`] is a place of.
#[derive(Debug, Clone, Copy)]
enum Held {
    Connection,
    Run,
    Stream,
}

/// A connection, a run or a stream, for as long as it lives.
#[derive(Debug)]
pub struct Slot {
    limits: Arc<Limits>,
    account: Arc<Account>,
    held: Held,
}

/// A request that is being answered.
#[derive(Debug)]
pub struct RequestSlot<'a>(&'a Places);

/// Memory that bodies take.
#[derive(Debug)]
pub struct BodyBytes {
    limits: Arc<Limits>,
    count: AtomicUsize,
}

impl Limits {
    /// Returns limits of which nothing is taken. Bodies of `body_limit` bytes have room.
    #[must_use]
    pub fn new(settings: &LimitSettings, body_limit: usize) -> Self {
        let has_accounts = settings.client_connections.is_some()
            || settings.client_rate.is_some()
            || settings.client_runs.is_some()
            || settings.client_streams.is_some();
        Self {
            began: Instant::now(),
            connections: Places::new(settings.connections),
            requests: Places::new(settings.requests),
            runs: Places::new(settings.runs),
            streams: Places::new(settings.streams),
            body_bytes: Places::new(settings.body_bytes.max(body_limit)),
            accounts: Accounts::new(has_accounts),
            rate: rate::Rate::new(settings.client_rate, settings.client_burst),
            hits: [const { AtomicU64::new(0) }; Limit::ALL.len()],
            settings: settings.clone(),
        }
    }

    /// Returns what they are.
    #[must_use]
    pub fn settings(&self) -> &LimitSettings {
        &self.settings
    }

    /// Counts that somebody came up against one.
    pub fn hit(&self, limit: Limit) {
        if let Some(count) = self.hits.get(limit as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn refuse(&self, limit: Limit) -> Refused {
        self.hit(limit);
        Refused { limit, retry_after: RETRY_AFTER }
    }

    /// Lets a connection in.
    ///
    /// # Errors
    /// If there are too many, in all or of its address.
    pub fn connection(self: &Arc<Self>, address: IpAddr) -> Result<(Slot, Peer), Refused> {
        let account = self.account(Some(&Client::at(address)), None);
        // A proxy asks for many.
        let most = self.settings.client_connections.filter(|_| !self.is_trusted(address));
        let slot = self.slot(&account, Held::Connection, most)?;
        Ok((slot, Peer { address, account }))
    }

    /// Lets a request in that is neither a run nor a stream.
    ///
    /// # Errors
    /// If too many are being answered.
    pub fn request(&self) -> Result<RequestSlot<'_>, Refused> {
        if self.requests.take() { Ok(RequestSlot(&self.requests)) } else { Err(self.refuse(Limit::Requests)) }
    }

    /// Counts a request of a client.
    ///
    /// # Errors
    /// If it asks too often.
    pub fn rate(&self, account: &Account) -> Result<(), Refused> {
        self.rate.allow(account, || self.began.elapsed()).map_err(|retry_after| {
            self.hit(Limit::ClientRate);
            Refused { limit: Limit::ClientRate, retry_after }
        })
    }

    /// Lets a run begin.
    ///
    /// # Errors
    /// If there are too many, in all or of this client.
    pub fn run(self: &Arc<Self>, account: &Arc<Account>) -> Result<RunSlot, Refused> {
        self.slot(account, Held::Run, self.settings.client_runs).map(RunSlot::new)
    }

    /// Lets a stream begin.
    ///
    /// # Errors
    /// If there are too many, in all or of this client.
    pub fn stream(self: &Arc<Self>, account: &Arc<Account>) -> Result<Slot, Refused> {
        self.slot(account, Held::Stream, self.settings.client_streams)
    }

    fn slot(self: &Arc<Self>, account: &Arc<Account>, held: Held, most: Option<usize>) -> Result<Slot, Refused> {
        let (in_all, of_client) = match held {
            Held::Connection => (Limit::Connections, Limit::ClientConnections),
            Held::Run => (Limit::Runs, Limit::ClientRuns),
            Held::Stream => (Limit::Streams, Limit::ClientStreams),
        };
        // A client's own limit first: one who asks for too much is told so whatever others do.
        if account.add(held) >= most.unwrap_or(usize::MAX) {
            account.remove(held);
            return Err(self.refuse(of_client));
        }
        if !self.places(held).take() {
            account.remove(held);
            return Err(self.refuse(in_all));
        }
        Ok(Slot { limits: Arc::clone(self), account: Arc::clone(account), held })
    }

    fn places(&self, held: Held) -> &Places {
        match held {
            Held::Connection => &self.connections,
            Held::Run => &self.runs,
            Held::Stream => &self.streams,
        }
    }

    /// Begins to count what a body takes.
    #[must_use]
    pub fn body(self: &Arc<Self>) -> BodyBytes {
        BodyBytes { limits: Arc::clone(self), count: AtomicUsize::new(0) }
    }

    /// Whether what comes from this address may say for whom it asks.
    #[must_use]
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        self.settings.trusted_proxies.iter().any(|network| network.contains(address))
    }

    /// Returns what a client has taken; without one, what whoever is at the other end of the connection has.
    #[must_use]
    pub fn account(&self, client: Option<&Client>, peer: Option<&Peer>) -> Arc<Account> {
        match (client, peer) {
            (Some(client), _) => self.accounts.find(client, || self.began.elapsed()),
            // Found when it connected.
            (None, Some(peer)) => Arc::clone(&peer.account),
            (None, None) => self.accounts.others(),
        }
    }

    /// Writes what is counted.
    pub fn write(&self, text: &mut Text) {
        let gauge = Kind::Gauge;
        text.single("hotbay_connections", gauge, "Connections that are open.", self.connections.taken());
        let help = "Requests that are being answered, runs and streams apart.";
        text.single("hotbay_requests_in_flight", gauge, help, self.requests.taken());
        text.single("hotbay_runs_in_flight", gauge, "Runs somebody outside asked for.", self.runs.taken());
        text.single("hotbay_streams_open", gauge, "Streams that are being read.", self.streams.taken());
        text.single("hotbay_body_bytes", gauge, "Memory bodies of requests take.", self.body_bytes.taken());
        text.single("hotbay_clients_known", gauge, "Clients that are told apart.", self.accounts.len());
        let name = "hotbay_limited_total";
        text.family(name, Kind::Counter, "Times somebody came up against a limit.");
        for (limit, count) in Limit::ALL.into_iter().zip(&self.hits) {
            text.sample(name, &[("limit", limit.as_str())], count.load(Ordering::Relaxed));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.limits.places(self.held).give(1);
        self.account.remove(self.held);
    }
}

impl Drop for RequestSlot<'_> {
    fn drop(&mut self) {
        self.0.give(1);
    }
}

impl BodyBytes {
    /// Adds bytes; `false` if there is no room for them.
    pub fn add(&self, count: usize) -> bool {
        let fits = self.limits.body_bytes.add(count);
        if fits {
            self.count.fetch_add(count, Ordering::Relaxed);
        }
        fits
    }
}

impl Drop for BodyBytes {
    fn drop(&mut self) {
        self.limits.body_bytes.give(*self.count.get_mut());
    }
}

#[cfg(test)]
mod tests;
