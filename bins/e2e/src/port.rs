//! Ports nobody else takes.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};

use anyhow::{Context, Result};

/// Below the range from which the kernel takes the ports of clients (32768 and up on Linux), so that
/// no connection of anybody takes one between choosing and binding.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A TCP port of this machine that is free, and that no other test is given while this lives.
///
/// The lease is an abstract unix socket: it ends with its process, however that ends.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lease: UnixListener,
}

impl Port {
    /// Takes a free port.
    ///
    /// # Errors
    ///
    /// When every port of the range is taken.
    pub fn take() -> Result<Self> {
        let length = u64::from(RANGE.end - RANGE.start);
        let random = RandomState::new().hash_one(std::process::id());
        (0..length)
            .filter_map(|step| u16::try_from(random.wrapping_add(step) % length).ok())
            .find_map(|offset| Self::lease(RANGE.start + offset))
            .context("no port is free between 20000 and 32000")
    }

    /// Takes this port if it is free.
    fn lease(number: u16) -> Option<Self> {
        let name = UnixAddr::from_abstract_name(format!("nxmesh-port-{number}")).ok()?;
        let lease = UnixListener::bind_addr(&name).ok()?;
        // Every address, so that a listener on any of them is noticed.
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).ok()?;
        Some(Self {
            number,
            _lease: lease,
        })
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn on_loopback(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once() {
        let first = Port::take().unwrap();
        assert!(Port::lease(first.number()).is_none());
        let number = first.number();
        drop(first);
        assert!(Port::lease(number).is_some());
    }

    #[test]
    fn a_port_in_use_is_not_given() {
        let port = Port::take().unwrap();
        let _listener = TcpListener::bind(port.on_loopback()).unwrap();
        let number = port.number();
        drop(port);
        assert!(Port::lease(number).is_none());
    }
}
