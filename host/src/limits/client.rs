//! Somebody who asks, as far as limits are concerned.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// Somebody who asks.
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
}
