//! The brake on guessing passwords, in memory.
//!
//! Attempts count per user and address together, per address, and per user.
//! The first two lock early, the last one late: who guesses from elsewhere
//! does not lock a person out, who guesses from everywhere is slowed all the
//! same.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Failures are forgotten after this time without a new one.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// The first lock; each further failure doubles it, up to [`MEMORY`].
const FIRST_LOCK: Duration = Duration::from_secs(30);
/// More counters than this are not kept.
const MAX_COUNTERS: usize = 30_000;

/// What failures are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Counted {
    UserFrom(String, IpAddr),
    Address(IpAddr),
    User(String),
}

impl Counted {
    /// How many failures are free.
    const fn allowance(&self) -> u32 {
        match self {
            Self::UserFrom(..) => 5,
            Self::Address(_) => 20,
            Self::User(_) => 100,
        }
    }
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
    locked_until: Option<Instant>,
}

/// Counts failures and says when to wait.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: Mutex<HashMap<Counted, Failures>>,
}

impl Throttle {
    /// Admits an attempt, or says how long to wait. An admitted attempt counts
    /// as failed until [`Throttle::succeeded`], so attempts made at the same
    /// time do not slip through together.
    pub(super) fn admit(&self, user: &str, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = keys(user, from);
        let wait = keys
            .iter()
            .filter_map(|key| failures.get(key)?.locked_until)
            .map(|until| until.saturating_duration_since(now))
            .max()
            .unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        for key in keys {
            let allowance = key.allowance();
            let entry = failures.entry(key).or_insert(Failures {
                count: 0,
                last: now,
                locked_until: None,
            });
            if now.saturating_duration_since(entry.last) >= MEMORY {
                entry.count = 0;
            }
            entry.count = entry.count.saturating_add(1);
            entry.last = now;
            entry.locked_until = entry.count.checked_sub(allowance).map(|beyond| {
                now + FIRST_LOCK
                    .saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX))
                    .min(MEMORY)
            });
        }
        if failures.len() > MAX_COUNTERS {
            shrink(&mut failures, now);
        }
        Ok(())
    }

    /// Forgives the person and the address the failures counted together.
    pub(super) fn succeeded(&self, user: &str, from: IpAddr) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let [pair, address, user] = keys(user, from);
        failures.remove(&pair);
        // Only this attempt is taken back: one good account does not pay for
        // guesses at others.
        for key in [address, user] {
            if let Some(entry) = failures.get_mut(&key) {
                entry.count = entry.count.saturating_sub(1);
                entry.locked_until = None;
            }
        }
    }
}

fn keys(user: &str, from: IpAddr) -> [Counted; 3] {
    let from = network(from);
    [
        Counted::UserFrom(user.to_owned(), from),
        Counted::Address(from),
        Counted::User(user.to_owned()),
    ]
}

/// One customer has a /64 of IPv6 (RFC 6177), so that counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Drops what is forgotten anyway, then the older half.
fn shrink(failures: &mut HashMap<Counted, Failures>, now: Instant) {
    failures.retain(|_, entry| now.saturating_duration_since(entry.last) < MEMORY);
    if failures.len() <= MAX_COUNTERS {
        return;
    }
    let mut ages: Vec<Instant> = failures.values().map(|entry| entry.last).collect();
    let middle = ages.len() / 2;
    let (_, median, _) = ages.select_nth_unstable(middle);
    let median = *median;
    failures.retain(|_, entry| entry.last > median || entry.locked_until.is_some_and(|t| t > now));
    if failures.len() > MAX_COUNTERS {
        failures.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn the_sixth_guess_waits_and_waits_longer_each_time() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        for _ in 0..5 {
            throttle.admit("admin", HOME, now).unwrap();
        }
        assert_eq!(throttle.admit("admin", HOME, now), Err(FIRST_LOCK));
        now += FIRST_LOCK;
        throttle.admit("admin", HOME, now).unwrap();
        assert_eq!(throttle.admit("admin", HOME, now), Err(FIRST_LOCK * 2));
        now += MEMORY;
        throttle.admit("admin", HOME, now).unwrap();
        throttle.admit("admin", HOME, now).unwrap();
    }

    #[test]
    fn guesses_from_elsewhere_do_not_lock_a_person_out() {
        let throttle = Throttle::default();
        let now = Instant::now();
        while throttle.admit("admin", AWAY, now).is_ok() {}
        throttle.admit("admin", HOME, now).unwrap();
    }

    #[test]
    fn guesses_at_many_users_lock_the_address() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let admitted = (0..100)
            .take_while(|n| throttle.admit(&format!("user{n}"), HOME, now).is_ok())
            .count();
        assert_eq!(admitted, 20);
    }

    #[test]
    fn success_forgives() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..50 {
            throttle.admit("admin", HOME, now).unwrap();
            throttle.succeeded("admin", HOME);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for n in 0..2 * MAX_COUNTERS as u32 {
            let from = IpAddr::V4(n.into());
            let now = start + Duration::from_millis(n.into());
            throttle.admit(&format!("user{n}"), from, now).unwrap();
        }
        assert!(throttle.failures.lock().unwrap().len() <= MAX_COUNTERS);
    }

    #[test]
    fn a_network_counts_as_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), HOME);
    }
}
