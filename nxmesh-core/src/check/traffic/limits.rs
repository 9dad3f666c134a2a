//! Limits of requests and connections.

use super::Found;
use crate::check::location::{condition, has_variable};
use crate::model::{
    traffic::{ConnectionLimit, LimitKey, RateLimit},
    value::{SizeBytes, StatusCode},
};

pub(super) fn requests(at: &str, limit: &RateLimit, found: &mut Found) {
    count(at, limit.limits.len(), found);
    status(at, limit.status, found);
    if limit.except.len() > 1000 {
        found.say(format!("{at}/except"), "there are at most 1000 networks");
    }
    if limit.agents.is_some_and(|it| !(1..=1000).contains(&it)) {
        found.say(format!("{at}/agents"), "1 to 1000 agents share a rate");
    }
    for (index, one) in limit.limits.iter().enumerate() {
        let at = format!("{at}/limits/{index}");
        key(&at, &one.key, found);
        zone(&at, one.zone_size, found);
        tier(&at, index, limit, found);
        if one.burst.is_some_and(|burst| burst > 100_000) {
            found.say(
                format!("{at}/burst"),
                "a burst is at most 100000 requests, for example 20",
            );
        }
        if one.without_delay > one.burst {
            found.say(
                format!("{at}/without_delay"),
                "without_delay is at most the burst, for example { burst: 20, without_delay: 20 }",
            );
        }
    }
}

/// For which requests a limit is.
fn tier(at: &str, index: usize, limit: &RateLimit, found: &mut Found) {
    let one = &limit.limits[index];
    if let Some(when) = &one.when {
        condition(&format!("{at}/when"), when, found);
        if when.count() > 10 {
            found.say(format!("{at}/when"), "a limit has at most 10 conditions");
        }
    }
    let others = limit.limits.iter().any(|other| other.when.is_some());
    if one.otherwise && (one.when.is_some() || !others) {
        found.say(
            format!("{at}/otherwise"),
            "otherwise is for a limit without when, beside limits with one",
        );
    }
}

pub(super) fn connections(at: &str, limit: &ConnectionLimit, found: &mut Found) {
    count(at, limit.limits.len(), found);
    status(at, limit.status, found);
    for (index, one) in limit.limits.iter().enumerate() {
        let at = format!("{at}/limits/{index}");
        key(&at, &one.key, found);
        zone(&at, one.zone_size, found);
        if one.connections == 0 {
            found.say(
                format!("{at}/connections"),
                "a limit is 1 to 65535 connections, for example 100",
            );
        }
    }
}

fn count(at: &str, limits: usize, found: &mut Found) {
    if !(1..=10).contains(&limits) {
        found.say(
            format!("{at}/limits"),
            "there are 1 to 10 limits in one place",
        );
    }
}

fn status(at: &str, status: Option<StatusCode>, found: &mut Found) {
    if status.is_some_and(|status| status.get() < 400) {
        found.say(
            format!("{at}/status"),
            "the status of refused requests is 400 to 599, for example 429",
        );
    }
}

/// nginx has no variable for a header with other characters.
fn key(at: &str, key: &LimitKey, found: &mut Found) {
    if matches!(key, LimitKey::Header(name) if !has_variable(name)) {
        found.say(
            format!("{at}/key"),
            "a header to count by has letters, digits and '-' only, for example { header: X-Api-Key }",
        );
    }
}

/// The memory of a zone.
pub(super) fn zone(at: &str, size: Option<SizeBytes>, found: &mut Found) {
    if size.is_some_and(|size| !(32 << 10..=1 << 30).contains(&size.bytes())) {
        found.say(
            format!("{at}/zone_size"),
            "the memory of a zone is 32k to 1g, for example 10m",
        );
    }
}
