//! A port of this machine where nobody listens, for as long as this lives: not even another test's server.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// Bound, and never listening.
pub(crate) struct ClosedPort {
    socket: OwnedFd,
}

impl ClosedPort {
    pub(crate) fn new() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self { socket }
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> String {
        SocketAddrV4::try_from(getsockname(&self.socket).unwrap()).unwrap().to_string()
    }
}
