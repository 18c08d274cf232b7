//! Whose request it is.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use http::HeaderMap;

use super::{Limits, Peer};
use crate::types::caller::Caller;

/// What proxies say for whom they ask.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// No proxy behind another has as many.
const HOPS: usize = 16;

/// Somebody who asks, as far as limits are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Client {
    /// Who asks from an address.
    Address(IpAddr),
    /// Who shows a token, by the token's id.
    Token(Arc<str>),
}

impl Client {
    /// Returns who asks from an address. Whoever has an address of IPv6 has the network around it.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
        })
    }

    /// Returns who asks, if that is somebody else than who connected.
    pub(super) fn of<B>(request: &http::Request<B>, limits: &Limits) -> Option<Self> {
        if let Some(caller) = request.extensions().get::<Arc<Caller>>() {
            return Some(Self::Token(Arc::clone(&caller.id)));
        }
        let peer = request.extensions().get::<Peer>()?;
        if !limits.is_trusted(peer.address) {
            return None;
        }
        forwarded(request.headers(), limits).map(Self::at)
    }
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
