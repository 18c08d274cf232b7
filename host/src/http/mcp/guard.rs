//! Who may speak MCP: a page of another site must not reach a host on its reader's machine, whatever
//! name it has its address resolved to.

use http::{HeaderMap, header, uri::Authority};

use super::forbidden;
use crate::{config::Config, http::error::ApiError};

/// Names of this machine.
const LOCAL: [&str; 4] = ["localhost", "127.0.0.1", "[::1]", "::1"];

/// Refuses a request that is for another host, or from a page that may not ask.
pub(super) fn check(config: &Config, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    // HTTP/1.1 asks for a host; without one there is no name to be fooled by.
    if let Some(host) = text(header::HOST)
        && !is_host(config, host)
    {
        return Err(forbidden("this Host"));
    }
    if let Some(origin) = text(header::ORIGIN)
        && !is_origin(config, origin)
    {
        return Err(forbidden("this Origin"));
    }
    Ok(())
}

fn is_host(config: &Config, host: &str) -> bool {
    let Ok(asked) = host.parse::<Authority>() else { return false };
    let listens = config.listen.ip();
    let is_own = !listens.is_unspecified() && asked.host().trim_matches(['[', ']']) == listens.to_string();
    is_local(asked.host()) || is_own || config.mcp.hosts.iter().any(|allowed| is_allowed(allowed, &asked))
}

/// A name allows all ports, a name with a port that one.
fn is_allowed(allowed: &str, asked: &Authority) -> bool {
    if allowed == "*" {
        return true;
    }
    allowed.parse::<Authority>().is_ok_and(|allowed| {
        allowed.host().eq_ignore_ascii_case(asked.host())
            && allowed.port_u16().is_none_or(|port| asked.port_u16() == Some(port))
    })
}

fn is_origin(config: &Config, origin: &str) -> bool {
    let local = origin.split_once("://").and_then(|(_, authority)| authority.parse::<Authority>().ok());
    local.is_some_and(|authority| is_local(authority.host()))
        || config.mcp.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
}

fn is_local(host: &str) -> bool {
    LOCAL.iter().any(|local| local.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    #[track_caller]
    fn check(flags: Flags, headers: &[(header::HeaderName, &str)], is_fine: bool) {
        let config = Config::load_with(&flags, &|_| None).unwrap();
        let headers: HeaderMap = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        assert_eq!(super::check(&config, &headers).is_ok(), is_fine, "{headers:?}");
    }

    #[test]
    fn a_host_is_called_by_its_own_names() {
        for (host, is_fine) in [
            ("127.0.0.1:4111", true),
            ("LocalHost:1", true),
            ("[::1]:4111", true),
            ("evil.example", false),
            ("localhost.evil.example:4111", false),
            ("", false),
        ] {
            check(Flags::default(), &[(header::HOST, host)], is_fine);
        }
        check(Flags::default(), &[], true);
    }

    #[test]
    fn other_names_are_the_operators_choice() {
        let flags = |hosts: &str| Flags { mcp_hosts: Some(hosts.to_owned()), ..Flags::default() };
        check(flags("hotbay.example"), &[(header::HOST, "hotbay.example:8080")], true);
        check(flags("hotbay.example:80"), &[(header::HOST, "hotbay.example:8080")], false);
        check(flags("*"), &[(header::HOST, "any.example")], true);
    }

    #[test]
    fn pages_of_other_sites_may_not_ask() {
        let flags = |origins: &str| Flags { mcp_origins: Some(origins.to_owned()), ..Flags::default() };
        let origin = |origin| [(header::HOST, "localhost:4111"), (header::ORIGIN, origin)];
        check(Flags::default(), &origin("http://localhost:3000"), true);
        check(Flags::default(), &origin("http://evil.example"), false);
        check(Flags::default(), &origin("http://localhost.evil.example"), false);
        check(Flags::default(), &origin("null"), false);
        check(flags("https://studio.example"), &origin("https://studio.example"), true);
        check(flags("https://studio.example"), &origin("https://studio.example:8443"), false);
    }
}
