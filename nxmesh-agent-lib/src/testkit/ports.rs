//! Ports that no other test takes.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below the ports the kernel gives to outgoing connections.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// A TCP port that nothing listens on and no other test process is given
/// while this one lives.
///
/// # Panics
///
/// When no port is free or the temporary folder cannot be used.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let size = RANGE.end - RANGE.start;
    let next = NEXT.get_or_init(|| {
        let seed = std::process::id().wrapping_mul(2_654_435_761) >> 12;
        AtomicU16::new((seed % u32::from(size)) as u16)
    });
    let locks = std::env::temp_dir().join("nxmesh-test-ports");
    std::fs::create_dir_all(&locks).expect("a folder for the locks of ports");
    for _ in 0..size {
        let port = RANGE.start + next.fetch_add(1, Ordering::Relaxed) % size;
        let lock = File::create(locks.join(port.to_string())).expect("a lock for a port");
        if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            // Held until this process ends.
            std::mem::forget(lock);
            return port;
        }
    }
    panic!("no port from {RANGE:?} is free");
}
