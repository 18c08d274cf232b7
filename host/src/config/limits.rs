//! Settings of how much may be asked of the host at once, and how slowly.
#![expect(clippy::doc_markdown, reason = "the sentences of flags are the commands' help, where backticks would show")]

use std::{fmt::Display, net::IpAddr, time::Duration};

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ConfigError, Deadlines, Flags, Sources, file::File, file::Scalar, parse};

/// What the reader of JSON can take without exhausting its stack.
const DEEPEST_JSON: usize = 127;

/// How much may be asked of the host at once, and how slowly.
///
/// A client is who shows a token, else an address. What is `None` has no limit.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    pub client_connections: Option<usize>,
    /// Requests that are being answered; runs and streams are not among them.
    pub requests: usize,
    /// Runs in all, of agents, tools and workflows, that somebody outside asked for.
    pub runs: usize,
    /// Runs of one client.
    pub client_runs: Option<usize>,
    /// Streams in all.
    pub streams: usize,
    /// Streams of one client.
    pub client_streams: Option<usize>,
    /// Requests a client may make in a second.
    pub client_rate: Option<usize>,
    /// Requests it may make at once, if it made none before.
    pub client_burst: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// Bytes of a URL's path and query.
    pub url_bytes: usize,
    /// Bytes of bodies that are in memory.
    pub body_bytes: usize,
    /// How deep a JSON document may be nested.
    pub json_depth: usize,
    /// How long a client may take over TLS before its first request.
    pub handshake_time: Duration,
    /// How long it may take over a request's line and headers.
    pub header_time: Duration,
    /// How long over a body.
    pub body_time: Duration,
    /// How long it may keep a connection without asking anything.
    pub idle_time: Duration,
    /// How long it may take nothing of what it is sent.
    pub write_time: Duration,
    /// How long an answer may take that is neither a run's nor a stream.
    pub request_time: Duration,
    /// How long somebody may wait for the answer of a run.
    pub wait_time: Duration,
    /// Proxies that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<Network>,
}

/// The addresses that have their first bits in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let apart = u32::from(own) ^ u32::from(other);
                apart.checked_shr(32 - u32::from(self.bits)).unwrap_or_default() == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let apart = u128::from(own) ^ u128::from(other);
                apart.checked_shr(128 - u32::from(self.bits)).unwrap_or_default() == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Flags of limits.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// Most connections [default: 10000, fewer if the system allows fewer open files] [env: HOTBAY_LIMIT_CONNECTIONS]
    #[arg(long, value_name = "COUNT")]
    pub limit_connections: Option<String>,
    /// Most connections of one address, or none [default: 256, none on loopback] [env: HOTBAY_LIMIT_CLIENT_CONNECTIONS]
    #[arg(long, value_name = "COUNT")]
    pub limit_client_connections: Option<String>,
    /// Most requests that are answered at once, runs and streams apart [default: 4096] [env: HOTBAY_LIMIT_REQUESTS]
    #[arg(long, value_name = "COUNT")]
    pub limit_requests: Option<String>,
    /// Most runs at once [default: 1024] [env: HOTBAY_LIMIT_RUNS]
    #[arg(long, value_name = "COUNT")]
    pub limit_runs: Option<String>,
    /// Most runs of one client at once, or none [default: 64, none on loopback] [env: HOTBAY_LIMIT_CLIENT_RUNS]
    #[arg(long, value_name = "COUNT")]
    pub limit_client_runs: Option<String>,
    /// Most streams at once [default: 4096] [env: HOTBAY_LIMIT_STREAMS]
    #[arg(long, value_name = "COUNT")]
    pub limit_streams: Option<String>,
    /// Most streams of one client at once, or none [default: 128, none on loopback] [env: HOTBAY_LIMIT_CLIENT_STREAMS]
    #[arg(long, value_name = "COUNT")]
    pub limit_client_streams: Option<String>,
    /// Most requests of one client in a second, or none [default: 1000, none on loopback] [env: HOTBAY_LIMIT_CLIENT_RATE]
    #[arg(long, value_name = "COUNT")]
    pub limit_client_rate: Option<String>,
    /// Most requests of one client at once that made none before [default: twice the rate] [env: HOTBAY_LIMIT_CLIENT_BURST]
    #[arg(long, value_name = "COUNT")]
    pub limit_client_burst: Option<String>,
    /// Longest line and headers of a request [default: 64KiB] [env: HOTBAY_LIMIT_HEADER_BYTES]
    #[arg(long, value_name = "SIZE")]
    pub limit_header_bytes: Option<String>,
    /// Most headers of a request [default: 100] [env: HOTBAY_LIMIT_HEADERS]
    #[arg(long, value_name = "COUNT")]
    pub limit_headers: Option<String>,
    /// Longest path and query of a URL [default: 16KiB] [env: HOTBAY_LIMIT_URL_BYTES]
    #[arg(long, value_name = "SIZE")]
    pub limit_url_bytes: Option<String>,
    /// Most memory for the bodies of all requests [default: 512MiB] [env: HOTBAY_LIMIT_BODY_BYTES]
    #[arg(long, value_name = "SIZE")]
    pub limit_body_bytes: Option<String>,
    /// Deepest nesting of a JSON body, 127 at most [default: 127] [env: HOTBAY_LIMIT_JSON_DEPTH]
    #[arg(long, value_name = "COUNT")]
    pub limit_json_depth: Option<String>,
    /// Longest time a client may take over the beginning of TLS [default: 10s] [env: HOTBAY_LIMIT_HANDSHAKE_TIME]
    #[arg(long, value_name = "TIME")]
    pub limit_handshake_time: Option<String>,
    /// Longest time over a request's line and headers [default: 10s] [env: HOTBAY_LIMIT_HEADER_TIME]
    #[arg(long, value_name = "TIME")]
    pub limit_header_time: Option<String>,
    /// Longest time over a body [default: 60s] [env: HOTBAY_LIMIT_BODY_TIME]
    #[arg(long, value_name = "TIME")]
    pub limit_body_time: Option<String>,
    /// Longest time a connection is kept between requests [default: 75s] [env: HOTBAY_LIMIT_IDLE_TIME]
    #[arg(long, value_name = "TIME")]
    pub limit_idle_time: Option<String>,
    /// Longest time a client may take nothing of what it is sent [default: 2m] [env: HOTBAY_LIMIT_WRITE_TIME]
    #[arg(long, value_name = "TIME")]
    pub limit_write_time: Option<String>,
    /// Longest time of an answer that is no run's and no stream [default: 2m, more if a plugin call may take more] [env: HOTBAY_LIMIT_REQUEST_TIME]
    #[arg(long, value_name = "TIME")]
    pub limit_request_time: Option<String>,
    /// Longest wait for the answer of a run [default: 30m, more if a run may take more] [env: HOTBAY_LIMIT_WAIT_TIME]
    #[arg(long, value_name = "TIME")]
    pub limit_wait_time: Option<String>,
    /// Proxies that are believed when X-Forwarded-For says for whom they ask: addresses, or networks as 10.0.0.0/8 [default: none] [env: HOTBAY_TRUSTED_PROXIES]
    #[arg(long, value_name = "ADDRESSES")]
    pub trusted_proxies: Option<String>,
}

/// `[limits]` of the configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitSection {
    connections: Option<Scalar>,
    client_connections: Option<Scalar>,
    requests: Option<Scalar>,
    runs: Option<Scalar>,
    client_runs: Option<Scalar>,
    streams: Option<Scalar>,
    client_streams: Option<Scalar>,
    client_rate: Option<Scalar>,
    client_burst: Option<Scalar>,
    header_bytes: Option<Scalar>,
    headers: Option<Scalar>,
    url_bytes: Option<Scalar>,
    body_bytes: Option<Scalar>,
    json_depth: Option<Scalar>,
    handshake_time: Option<Scalar>,
    header_time: Option<Scalar>,
    body_time: Option<Scalar>,
    idle_time: Option<Scalar>,
    write_time: Option<Scalar>,
    request_time: Option<Scalar>,
    wait_time: Option<Scalar>,
}

impl LimitSettings {
    /// Reads them. Where only this machine can call, all callers are one client: a proxy, or the
    /// operator's own programs, and nothing is limited for each client unless that is asked for.
    pub(super) fn load(
        from: &Sources<'_>,
        flags: &Flags,
        file: &File,
        is_loopback: bool,
        deadlines: &Deadlines,
    ) -> Result<Self, ConfigError> {
        let (flags, file, proxies) = (&flags.limits, &file.limits, &file.trusted_proxies);
        let each = |count| if is_loopback { None } else { Some(count) };
        let (seconds, minutes) = (Duration::from_secs, |count: u64| Duration::from_secs(60 * count));
        let client_rate = from.pick(
            "limit_client_rate",
            flags.limit_client_rate.as_ref(),
            file.client_rate.as_ref(),
            each(1000),
            count_or_none,
        )?;
        Ok(Self {
            connections: from.pick(
                "limit_connections",
                flags.limit_connections.as_ref(),
                file.connections.as_ref(),
                10_000,
                count,
            )?,
            client_connections: from.pick(
                "limit_client_connections",
                flags.limit_client_connections.as_ref(),
                file.client_connections.as_ref(),
                each(256),
                count_or_none,
            )?,
            requests: from.pick(
                "limit_requests",
                flags.limit_requests.as_ref(),
                file.requests.as_ref(),
                4096,
                count,
            )?,
            runs: from.pick("limit_runs", flags.limit_runs.as_ref(), file.runs.as_ref(), 1024, count)?,
            client_runs: from.pick(
                "limit_client_runs",
                flags.limit_client_runs.as_ref(),
                file.client_runs.as_ref(),
                each(64),
                count_or_none,
            )?,
            streams: from.pick("limit_streams", flags.limit_streams.as_ref(), file.streams.as_ref(), 4096, count)?,
            client_streams: from.pick(
                "limit_client_streams",
                flags.limit_client_streams.as_ref(),
                file.client_streams.as_ref(),
                each(128),
                count_or_none,
            )?,
            client_rate,
            client_burst: from.pick(
                "limit_client_burst",
                flags.limit_client_burst.as_ref(),
                file.client_burst.as_ref(),
                client_rate.unwrap_or_default().saturating_mul(2),
                count,
            )?,
            header_bytes: from.pick(
                "limit_header_bytes",
                flags.limit_header_bytes.as_ref(),
                file.header_bytes.as_ref(),
                64 << 10,
                header_bytes,
            )?,
            headers: from.pick("limit_headers", flags.limit_headers.as_ref(), file.headers.as_ref(), 100, count)?,
            url_bytes: from.pick(
                "limit_url_bytes",
                flags.limit_url_bytes.as_ref(),
                file.url_bytes.as_ref(),
                16 << 10,
                parse::bytes,
            )?,
            body_bytes: from.pick(
                "limit_body_bytes",
                flags.limit_body_bytes.as_ref(),
                file.body_bytes.as_ref(),
                512 << 20,
                parse::bytes,
            )?,
            json_depth: from.pick(
                "limit_json_depth",
                flags.limit_json_depth.as_ref(),
                file.json_depth.as_ref(),
                DEEPEST_JSON,
                json_depth,
            )?,
            handshake_time: from.pick(
                "limit_handshake_time",
                flags.limit_handshake_time.as_ref(),
                file.handshake_time.as_ref(),
                seconds(10),
                parse::duration,
            )?,
            header_time: from.pick(
                "limit_header_time",
                flags.limit_header_time.as_ref(),
                file.header_time.as_ref(),
                seconds(10),
                parse::duration,
            )?,
            body_time: from.pick(
                "limit_body_time",
                flags.limit_body_time.as_ref(),
                file.body_time.as_ref(),
                seconds(60),
                parse::duration,
            )?,
            idle_time: from.pick(
                "limit_idle_time",
                flags.limit_idle_time.as_ref(),
                file.idle_time.as_ref(),
                seconds(75),
                parse::duration,
            )?,
            write_time: from.pick(
                "limit_write_time",
                flags.limit_write_time.as_ref(),
                file.write_time.as_ref(),
                minutes(2),
                parse::duration,
            )?,
            request_time: from.pick(
                "limit_request_time",
                flags.limit_request_time.as_ref(),
                file.request_time.as_ref(),
                minutes(2).max(deadlines.call.saturating_add(seconds(10))),
                parse::duration,
            )?,
            wait_time: from.pick(
                "limit_wait_time",
                flags.limit_wait_time.as_ref(),
                file.wait_time.as_ref(),
                minutes(30).max(deadlines.run.saturating_add(seconds(10))),
                parse::duration,
            )?,
            trusted_proxies: from.pick(
                "trusted_proxies",
                flags.trusted_proxies.as_ref(),
                proxies.as_ref(),
                Vec::new(),
                networks,
            )?,
        })
    }

    /// Returns what is shown of them.
    pub(super) fn shown(&self) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| {
            shown.insert(name.to_owned(), value);
        };
        put("connections", json!(self.connections));
        put("client_connections", or_none(self.client_connections));
        put("requests", json!(self.requests));
        put("runs", json!(self.runs));
        put("client_runs", or_none(self.client_runs));
        put("streams", json!(self.streams));
        put("client_streams", or_none(self.client_streams));
        put("client_rate", or_none(self.client_rate));
        put("client_burst", json!(self.client_burst));
        put("header_bytes", json!(self.header_bytes));
        put("headers", json!(self.headers));
        put("url_bytes", json!(self.url_bytes));
        put("body_bytes", json!(self.body_bytes));
        put("json_depth", json!(self.json_depth));
        for (name, time) in [
            ("handshake_time", self.handshake_time),
            ("header_time", self.header_time),
            ("body_time", self.body_time),
            ("idle_time", self.idle_time),
            ("write_time", self.write_time),
            ("request_time", self.request_time),
            ("wait_time", self.wait_time),
        ] {
            put(name, json!(parse::show_duration(time)));
        }
        shown.into()
    }

    /// Returns what is shown of the proxies.
    pub(super) fn shown_proxies(&self) -> Value {
        self.trusted_proxies.iter().map(|network| format!("{}/{}", network.address, network.bits)).collect()
    }
}

fn or_none(count: Option<usize>) -> Value {
    count.map_or_else(|| "none".into(), Value::from)
}

fn count(text: &str) -> Result<usize, String> {
    let fits = |count: &usize| (1..=1_000_000_000).contains(count);
    text.parse().ok().filter(fits).ok_or_else(|| "a whole number, at least 1".into())
}

fn count_or_none(text: &str) -> Result<Option<usize>, String> {
    if text == "none" {
        return Ok(None);
    }
    count(text).map(Some).map_err(|expected| format!("{expected}, or `none`"))
}

fn at_least<T: PartialOrd + Display>(least: T, value: T) -> Result<T, String> {
    if value < least { Err(format!("at least {least}")) } else { Ok(value) }
}

/// What reads requests has a buffer that is no smaller.
fn header_bytes(text: &str) -> Result<usize, String> {
    at_least(8192, parse::bytes(text)?)
}

fn json_depth(text: &str) -> Result<usize, String> {
    let fits = |depth: &usize| (1..=DEEPEST_JSON).contains(depth);
    text.parse().ok().filter(fits).ok_or_else(|| format!("a whole number from 1 to {DEEPEST_JSON}"))
}

fn networks(text: &str) -> Result<Vec<Network>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(network)
        .collect::<Option<_>>()
        .ok_or_else(|| "addresses or networks, for example 127.0.0.1,10.0.0.0/8".into())
}

fn network(text: &str) -> Option<Network> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address = address.parse::<IpAddr>().ok()?.to_canonical();
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(Network { address, bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(networks: &str, inside: &[&str], outside: &[&str]) {
        let networks = super::networks(networks).unwrap();
        let contains = |text: &&&str| networks.iter().any(|network| network.contains(text.parse().unwrap()));
        assert!(inside.iter().all(|text| contains(&text)) && !outside.iter().any(|text| contains(&text)));
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        check("10.0.0.0/8", &["10.0.0.1", "10.255.0.1", "::ffff:10.1.2.3"], &["11.0.0.1", "::1"]);
        check("127.0.0.1, ::1", &["127.0.0.1", "::1"], &["127.0.0.2", "::2"]);
        check("0.0.0.0/0", &["1.2.3.4"], &["::1"]);
        check("fd00::/8", &["fd12::1"], &["fe80::1", "10.0.0.1"]);
        check("", &[], &["127.0.0.1"]);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["10.0.0.0/33", "::/129", "proxy.example", "10.0.0.0/x", "10.0.0.0/"] {
            assert!(networks(text).is_err(), "{text}");
        }
    }
}
