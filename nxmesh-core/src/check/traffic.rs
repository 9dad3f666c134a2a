//! What traffic settings have to be in themselves.

use super::{Found, location::has_variable};
use crate::model::{
    TrafficSettings,
    traffic::{Access, ConnectionLimit, Gzip, LimitKey, RateLimit},
    value::{SizeBytes, StatusCode},
};

/// Checks the settings that stand at `at`.
pub(super) fn check(at: &str, settings: &TrafficSettings, found: &mut Found) {
    if settings.policies.len() > 20 {
        found.say(
            format!("{at}/policies"),
            "there are at most 20 policies in one place",
        );
    }
    if settings.snippets.len() > 20 {
        found.say(
            format!("{at}/snippets"),
            "there are at most 20 snippets in one place",
        );
    }
    if let Some(access) = &settings.access {
        self::access(&format!("{at}/access"), access, found);
    }
    if let Some(limit) = &settings.rate_limit {
        rate_limit(&format!("{at}/rate_limit"), limit, found);
    }
    if let Some(limit) = &settings.connection_limit {
        connection_limit(&format!("{at}/connection_limit"), limit, found);
    }
    if settings
        .bandwidth
        .as_ref()
        .is_some_and(|it| it.rate.bytes() == 0)
    {
        found.say(
            format!("{at}/bandwidth/rate"),
            "a bandwidth is at least 1 byte per second, for example 1m",
        );
    }
    if let Some(gzip) = &settings.gzip {
        self::gzip(&format!("{at}/gzip"), gzip, found);
    }
}

/// Checks a policy.
pub(super) fn policy(settings: &TrafficSettings, found: &mut Found) {
    if !settings.policies.is_empty() {
        found.say(
            "/spec/policies",
            "a policy names no other policies; attach both to the virtual host",
        );
    }
    if !settings.snippets.is_empty() {
        found.say(
            "/spec/snippets",
            "a policy names no snippets; attach them to the virtual host or location",
        );
    }
    check("/spec", settings, found);
}

fn access(at: &str, access: &Access, found: &mut Found) {
    if access.rules.is_empty() && access.lists.is_empty() {
        found.say(
            at,
            "access has rules or lists, for example { rules: [{ deny: all }] }",
        );
    }
    if access.rules.len() > 1000 {
        found.say(
            format!("{at}/rules"),
            "there are at most 1000 rules in one place; make an AccessList of them",
        );
    }
    if access.lists.len() > 20 {
        found.say(
            format!("{at}/lists"),
            "there are at most 20 lists in one place",
        );
    }
}

fn rate_limit(at: &str, limit: &RateLimit, found: &mut Found) {
    count(at, limit.limits.len(), found);
    status(at, limit.status, found);
    if limit.except.len() > 1000 {
        found.say(format!("{at}/except"), "there are at most 1000 networks");
    }
    for (index, one) in limit.limits.iter().enumerate() {
        let at = format!("{at}/limits/{index}");
        key(&at, &one.key, found);
        zone(&at, one.zone_size, found);
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

fn connection_limit(at: &str, limit: &ConnectionLimit, found: &mut Found) {
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

fn zone(at: &str, size: Option<SizeBytes>, found: &mut Found) {
    if size.is_some_and(|size| !(32 << 10..=1 << 30).contains(&size.bytes())) {
        found.say(
            format!("{at}/zone_size"),
            "the memory for counting is 32k to 1g, for example 10m",
        );
    }
}

fn gzip(at: &str, gzip: &Gzip, found: &mut Found) {
    if gzip.level.is_some_and(|level| !(1..=9).contains(&level)) {
        found.say(format!("{at}/level"), "a level is 1 to 9, for example 5");
    }
    if gzip.types.len() > 100 {
        found.say(format!("{at}/types"), "there are at most 100 types");
    }
    let with_parameters = gzip
        .types
        .iter()
        .position(|it| it.as_str().contains([';', ' ']));
    if let Some(index) = with_parameters {
        found.say(
            format!("{at}/types/{index}"),
            "a type to compress has no parameters, for example application/json",
        );
    }
}
