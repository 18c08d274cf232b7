//! From a setting's text to its type. An error is what was expected.

use std::{net::SocketAddr, time::Duration};

use nix::unistd::{Uid, User};

use super::LogFormat;
use crate::plugin::settings::Account;

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let parsed = numeric.as_deref().unwrap_or(text).parse();
    parsed.map_err(|_| "an address and a port, for example 127.0.0.1:4111 or [::1]:4111".into())
}

pub(super) fn prefix(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    if trimmed.is_empty() || (trimmed.starts_with('/') && !trimmed.contains("//") && trimmed.chars().all(is_plain)) {
        return Ok(trimmed.to_owned());
    }
    Err("a path that begins with `/` and has letters, digits, `-`, `_`, `.` and `~`, for example /api".into())
}

/// A database of its own; an empty text would be the embedded one, which needs no setting.
pub(super) fn database_url(text: &str) -> Result<Option<String>, String> {
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    if is_postgres {
        Ok(Some(text.to_owned()))
    } else {
        Err("a URL, for example postgres://user:password@host/name".into())
    }
}

/// Hides the password of a URL.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split_once(':').map_or(user, |(name, _)| name);
            format!("{scheme}://{name}:***@{host}")
        }
        None => url.to_owned(),
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err("true or false".into()),
    }
}

/// Parses a count of bytes with an optional unit.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let expected = || "a size, for example 4718592, 512KiB or 4.5MiB".to_owned();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        _ => return Err(expected()),
    };
    let number: f64 = number.parse().map_err(|_| expected())?;
    let size = number * unit;
    if size.is_finite() && (1.0..=1e15).contains(&size) { Ok(size as usize) } else { Err(expected()) }
}

/// Parses a number of days.
pub(super) fn days(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|days| *days <= 36_500).ok_or_else(|| "a number of days, for example 14".into())
}

/// Parses a time with a unit; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let expected = "a time, for example 500ms, 30s, 10m or 2h";
    let time = any_duration(text).ok_or(expected)?;
    let fits = !time.is_zero() && time <= Duration::from_secs(30 * 24 * 3600);
    if fits { Ok(time) } else { Err(format!("{expected}, above nothing and at most 30 days")) }
}

/// As [`duration`], for what may last for years.
pub(crate) fn long_duration(text: &str) -> Result<Duration, String> {
    any_duration(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "a time above nothing, for example 12h or 90d".to_owned())
}

fn any_duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit.trim() {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * unit).ok()
}

/// Parses a time, or that there is none.
pub(super) fn time_or_off(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" | "false" => Ok(None),
        text => duration(text).map(Some).map_err(|expected| format!("{expected}; or off")),
    }
}

/// A user of this machine, by name or number, whom this process may become.
pub(super) fn account(text: &str) -> Result<Option<Account>, String> {
    let found = match text.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(text),
    };
    let found = found.ok().flatten().ok_or("the name or number of a user of this machine")?;
    let (user, group) = (found.uid.as_raw(), found.gid.as_raw());
    if found.uid.is_root() || group == 0 {
        return Err("a user who is not root, nor of its group".into());
    }
    if !Uid::effective().is_root() {
        return Err("nothing, unless the host runs as root: nobody else may become another user".into());
    }
    Ok(Some(Account { name: text.to_owned(), user, group }))
}

/// A lease that is too short ends while its host is merely busy.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    duration(text)
        .ok()
        .filter(|lease| *lease >= Duration::from_millis(500))
        .ok_or_else(|| "a time of at least 500ms".into())
}

/// Writes a duration so that [`duration`] reads it.
pub(super) fn show_duration(time: Duration) -> String {
    match time.as_millis() {
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    tracing_subscriber::EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|_| {
        "a level (error, warn, info, debug, trace) or directives, for example hotbay=debug,plugin=trace".into()
    })
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("`text` or `json`".into()),
    }
}

/// Accepts `*` and `scheme://host[:port]`.
pub(super) fn origin(text: &str) -> Result<(), String> {
    let is_origin = text.split_once("://").is_some_and(|(scheme, host)| {
        !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' ', '*']) && host.is_ascii()
    });
    if text == "*" || is_origin {
        Ok(())
    } else {
        Err("`*` or an origin, for example https://studio.example.com".into())
    }
}
