//! What traffic settings have to be in themselves.

mod answers;
mod auth;
mod cache;
mod headers;
mod limits;
mod logs;

pub(super) use headers::of_location as headers_of_location;
pub(super) use logs::ONE_TARGET;

use super::{Found, location};
use crate::model::{
    TrafficSettings,
    traffic::{Access, Gzip, Mirror, RealIp},
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
        limits::requests(&format!("{at}/rate_limit"), limit, found);
    }
    if let Some(limit) = &settings.connection_limit {
        limits::connections(&format!("{at}/connection_limit"), limit, found);
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
    auth::check(at, settings, found);
    if let Some(Mirror::To(target)) = settings.mirror.as_deref() {
        let at = format!("{at}/mirror/to");
        location::upstream_scheme(&at, target.scheme, target.tls.as_deref(), found);
    }
    if let Some(real_ip) = &settings.real_ip {
        self::real_ip(&format!("{at}/real_ip"), real_ip, found);
    }
    if let Some(cache) = settings.cache.as_deref() {
        cache::check(&format!("{at}/cache"), cache, found);
    }
    answers::check(at, settings, found);
    headers::check(at, settings, found);
    logs::check(at, settings, found);
}

fn real_ip(at: &str, real_ip: &RealIp, found: &mut Found) {
    if !(1..=1000).contains(&real_ip.trusted.len()) {
        found.say(
            format!("{at}/trusted"),
            "there are 1 to 1000 trusted networks, for example 10.0.0.0/8",
        );
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

pub(super) fn access(at: &str, access: &Access, found: &mut Found) {
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

fn gzip(at: &str, gzip: &Gzip, found: &mut Found) {
    if gzip.level.is_some_and(|level| !(1..=9).contains(&level)) {
        found.say(format!("{at}/level"), "a level is 1 to 9, for example 5");
    }
    if gzip.disable.len() > 20 {
        found.say(format!("{at}/disable"), "there are at most 20 patterns");
    }
    if let Some(buffers) = gzip.buffers
        && !((4..=1024).contains(&buffers.count)
            && (1 << 10..=1 << 20).contains(&buffers.size.bytes()))
    {
        found.say(
            format!("{at}/buffers"),
            "there are 4 to 1024 buffers of 1k to 1m, for example { count: 32, size: 4k }",
        );
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
