//! Which IP addresses a URL that somebody else wrote may lead to.
//!
//! Refused is what reaches this machine itself, its link, or the service that hands out a cloud machine's credentials.
//! Private networks are not: image stores live there.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use landfall_handler_api::{Error, ErrorKind, Result};

/// Where clouds have the service that knows a machine's credentials: most of them, Alibaba, Azure, Oracle, Amazon's containers,
/// Scaleway.
const METADATA_V4: [Ipv4Addr; 7] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(169, 254, 42, 42),
];
/// The same in IPv6: Amazon's, also for containers, Google's, Oracle's, Scaleway's.
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// What is not to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Metadata,
    Loopback,
    LinkLocal,
    Unspecified,
    Multicast,
    Broadcast,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "a metadata service",
            Self::Loopback => "this machine",
            Self::LinkLocal => "a link-local address",
            Self::Unspecified => "the unspecified address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "a broadcast address",
        })
    }
}

/// An entry of `allow_addresses`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Place(Place),
    Network { base: IpAddr, length: u8 },
}

/// What the operator allows beyond the usual.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressPolicy {
    allowed: Vec<Allowed>,
}

impl AddressPolicy {
    /// Of the entries of `allow_addresses`.
    pub(crate) fn new(entries: &[String]) -> Result<Self> {
        let allowed = entries
            .iter()
            .map(|entry| {
                parse(entry).ok_or_else(|| {
                    let message = format!(
                        "allow_addresses has {entry:?}, which is no address, no network such as 10.0.0.0/8, and none of \
                         loopback, link-local and metadata"
                    );
                    Error::new(ErrorKind::Invalid, "config-allow-addresses", message)
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { allowed })
    }

    /// What is wrong with an address; `None` when it may be reached.
    pub(crate) fn refusal(&self, address: IpAddr) -> Option<Place> {
        if self.names(address) {
            return None;
        }
        if let Some(place) = place_of(address) {
            return (!self.allowed.contains(&Allowed::Place(place))).then_some(place);
        }
        if is_own(address) && !self.allowed.contains(&Allowed::Place(Place::Loopback)) {
            return Some(Place::Loopback);
        }
        let IpAddr::V6(address) = address else { return None };
        embedded(address).into_iter().flatten().find_map(|inner| self.refusal(IpAddr::V4(inner)))
    }

    /// Whether a network of the operator's has the address in it.
    fn names(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|allowed| match allowed {
            Allowed::Network { base, length } => within(address, *base, *length),
            Allowed::Place(_) => false,
        })
    }
}

/// Whether it is one of this machine's own: the kernel then takes it as the source as well. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    source().is_ok_and(|source| source == address)
}

fn parse(entry: &str) -> Option<Allowed> {
    match entry {
        "loopback" => return Some(Allowed::Place(Place::Loopback)),
        "link-local" => return Some(Allowed::Place(Place::LinkLocal)),
        "metadata" => return Some(Allowed::Place(Place::Metadata)),
        _ => {}
    }
    let (base, length) = match entry.split_once('/') {
        Some((base, length)) => (base, Some(length)),
        None => (entry, None),
    };
    let base: IpAddr = base.parse().ok()?;
    let most = if base.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => most,
        // Not all that `parse` takes: no sign, and no zero in front.
        Some(text) if text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9')) => text.parse().ok()?,
        Some(_) => return None,
    };
    // A base with bits beyond the network is a mistake, and nobody knows which.
    (length <= most && masked(base, length) == bits(base)).then_some(Allowed::Network { base, length })
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The first `length` bits of the address, at their place.
fn masked(address: IpAddr, length: u8) -> u128 {
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let rest = width.saturating_sub(u32::from(length));
    bits(address).checked_shr(rest).and_then(|kept| kept.checked_shl(rest)).unwrap_or(0)
}

fn within(address: IpAddr, base: IpAddr, length: u8) -> bool {
    address.is_ipv4() == base.is_ipv4() && masked(address, length) == bits(base)
}

fn place_of(address: IpAddr) -> Option<Place> {
    match address {
        IpAddr::V4(address) => match address.octets() {
            _ if METADATA_V4.contains(&address) => Some(Place::Metadata),
            [0, ..] => Some(Place::Unspecified),
            [127, ..] => Some(Place::Loopback),
            [169, 254, ..] => Some(Place::LinkLocal),
            [224..=239, ..] => Some(Place::Multicast),
            [255, 255, 255, 255] => Some(Place::Broadcast),
            _ => None,
        },
        IpAddr::V6(address) if METADATA_V6.contains(&address) => Some(Place::Metadata),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Some(Place::Unspecified),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(Place::Loopback),
        IpAddr::V6(address) => match address.segments() {
            [0xfe80..=0xfebf, ..] => Some(Place::LinkLocal),
            [0xff00..=0xffff, ..] => Some(Place::Multicast),
            _ => None,
        },
    }
}

/// The IPv4 addresses that an IPv6 address may end up at, on this machine or at a translator.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let join = |high: u16, low: u16| Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    let [.., g, h] = address.segments();
    match address.segments() {
        // Mapped, translated, compatible.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0, 0, 0, 0, 0, 0, ..] => [join(g, h), None],
        // NAT64, well known and local.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => [join(g, h), None],
        // 6to4.
        [0x2002, high, low, ..] => [join(high, low), None],
        // Teredo: the server, and the client with its bits turned round.
        [0x2001, 0, high, low, ..] => [join(high, low), join(!g, !h)],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests;
