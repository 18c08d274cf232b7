//! Whose request it is, as far as limits are concerned.

use std::{net::IpAddr, sync::Arc};

use axum::extract::Request;
use http::HeaderMap;

use crate::{
    limits::{Client, Limits, Peer, accounts::Account},
    types::caller::Caller,
};

/// What proxies say for whom they ask.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// No proxy behind another has as many.
const HOPS: usize = 16;

/// Returns what the client of a request has taken.
pub(super) fn account_of(request: &Request, limits: &Limits) -> Arc<Account> {
    limits.account(client_of(request, limits).as_ref(), request.extensions().get::<Peer>())
}

/// Returns who asks, if that is somebody else than who connected.
fn client_of(request: &Request, limits: &Limits) -> Option<Client> {
    if let Some(caller) = request.extensions().get::<Arc<Caller>>() {
        return Some(Client::Token(Arc::clone(&caller.id)));
    }
    let peer = request.extensions().get::<Peer>()?;
    if !limits.is_trusted(peer.address) {
        return None;
    }
    forwarded(request.headers(), limits).map(Client::at)
}

/// Returns for whom a proxy asks: the last address in the list that is no proxy's. What is before
/// it may be anything.
fn forwarded(headers: &HeaderMap, limits: &Limits) -> Option<IpAddr> {
    let lines = headers.get_all(FORWARDED_FOR).iter().rev().filter_map(|line| line.to_str().ok());
    let mut farthest = None;
    for hop in lines.flat_map(|line| line.rsplit(',')).take(HOPS) {
        let Some(address) = address(hop.trim()) else { break };
        farthest = Some(address);
        if !limits.is_trusted(address) {
            break;
        }
    }
    farthest
}

/// Reads an address; some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.split_once(']')?.0.parse().ok();
    let with_port = || text.rsplit_once(':')?.0.parse().ok();
    text.parse().ok().or_else(bracketed).or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Flags, LimitFlags};

    #[track_caller]
    fn check_client(peer: &str, forwarded: &[&str], expected: Option<&str>) {
        let flags = LimitFlags { trusted_proxies: Some("10.0.0.0/8,::1".into()), ..LimitFlags::default() };
        let config = Config::load_with(&Flags { limits: flags, ..Flags::default() }, &|_| None).unwrap();
        let limits = Arc::new(Limits::new(&config.limits, 0));
        let (_slot, peer) = limits.connection(peer.parse().unwrap()).unwrap();
        let mut request = Request::default();
        request.extensions_mut().insert(peer);
        for line in forwarded {
            request.headers_mut().append("x-forwarded-for", line.parse().unwrap());
        }
        assert_eq!(client_of(&request, &limits), expected.map(|text| Client::at(text.parse().unwrap())));
    }

    #[test]
    fn only_a_trusted_proxy_says_for_whom_it_asks() {
        check_client("192.0.2.1", &["198.51.100.7"], None);
        check_client("10.0.0.1", &["198.51.100.7"], Some("198.51.100.7"));
        check_client("10.0.0.1", &[], None);
        check_client("::1", &["198.51.100.7:4711"], Some("198.51.100.7"));
        check_client("::1", &["[2001:db8::1]:80"], Some("2001:db8::1"));
    }

    #[test]
    fn what_a_client_says_of_itself_is_not_believed() {
        check_client("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"], Some("198.51.100.7"));
        check_client("10.0.0.1", &["203.0.113.9", "198.51.100.7"], Some("198.51.100.7"));
        check_client("10.0.0.1", &["203.0.113.9, nonsense, 10.0.0.2"], Some("10.0.0.2"));
        check_client("10.0.0.1", &["nonsense"], None);
    }

    #[test]
    fn whoever_shows_a_token_is_its_holder_wherever_they_are() {
        let config = Config::load_with(&Flags::default(), &|_| None).unwrap();
        let mut request = Request::default();
        request.extensions_mut().insert(Arc::new(Caller { id: "ann".into(), ..Caller::anyone() }));
        assert_eq!(client_of(&request, &Limits::new(&config.limits, 0)), Some(Client::Token("ann".into())));
    }
}
