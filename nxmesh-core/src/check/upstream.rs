//! What an upstream has to be in itself.

use std::collections::BTreeSet;

use super::Found;
use crate::model::{
    Balance, HealthCheck, HealthCheckType, KeepaliveLimits, UpstreamSpec,
    value::{SizeBytes, Time},
};

pub(super) fn check(spec: &UpstreamSpec, found: &mut Found) {
    if !spec.servers.iter().any(|server| !server.backup) {
        found.say(
            "/spec/servers",
            "an upstream has at least one server that is not a backup, for example { address: \"10.0.0.11:8080\" }",
        );
    }
    if spec
        .keepalive
        .is_some_and(|connections| connections > 10_000)
    {
        found.say(
            "/spec/keepalive",
            "keepalive is 0 to 10000 connections, for example 64",
        );
    }
    if spec.snippets.len() > 20 {
        found.say(
            "/spec/snippets",
            "there are at most 20 snippets in one place",
        );
    }
    if let Some(check) = &spec.health_check {
        health_check(check, found);
    }
    memory(spec, found);
    resolving(spec, found);
    let by_turn =
        spec.affinity.is_none() && matches!(spec.balance, Balance::RoundRobin | Balance::LeastConn);
    let mut addresses = BTreeSet::new();
    for (index, server) in spec.servers.iter().enumerate() {
        if server.weight == Some(0) {
            found.say(
                format!("/spec/servers/{index}/weight"),
                "a weight is 1 to 65535, for example 3",
            );
        }
        if server.backup && !by_turn {
            found.say(
                format!("/spec/servers/{index}/backup"),
                "backups are possible with round_robin and least_conn only, without affinity",
            );
        }
        if !addresses.insert(&server.address) {
            found.say(
                format!("/spec/servers/{index}/address"),
                "a server is written once per upstream",
            );
        }
    }
}

fn health_check(check: &HealthCheck, found: &mut Found) {
    let within = |time: Option<Time>, range: std::ops::RangeInclusive<u64>| {
        time.is_none_or(|it| range.contains(&(it.as_duration().as_millis() as u64)))
    };
    let count = |count: Option<u8>| count.is_none_or(|it| (1..=100).contains(&it));
    let over_http = check.kind == HealthCheckType::Http;
    for (field, fine, rule) in [
        (
            "interval",
            within(check.interval, 1000..=3_600_000),
            "a server is asked every 1s to 1h, for example 5s",
        ),
        (
            "timeout",
            within(check.timeout, 10..=60_000),
            "an answer may take 10ms to 60s, for example 2s",
        ),
        (
            "rises",
            count(check.rises),
            "a server rises after 1 to 100 good answers, for example 2",
        ),
        (
            "falls",
            count(check.falls),
            "a server falls after 1 to 100 bad answers, for example 3",
        ),
        (
            "expect_status",
            check.expect_status.len() <= 20,
            "there are at most 20 statuses, for example [2xx, 404]",
        ),
        (
            "path",
            over_http || check.path.is_none(),
            "a path goes with type: http",
        ),
        (
            "host",
            over_http || check.host.is_none(),
            "a host goes with type: http",
        ),
        (
            "expect_status",
            over_http || check.expect_status.is_empty(),
            "statuses go with type: http",
        ),
    ] {
        if !fine {
            found.say(format!("/spec/health_check/{field}"), rule);
        }
    }
}

fn memory(spec: &UpstreamSpec, found: &mut Found) {
    let size = spec.zone_size.map(SizeBytes::bytes);
    if size.is_some_and(|size| !(32 << 10..=1 << 30).contains(&size)) {
        found.say(
            "/spec/zone_size",
            "the memory of an upstream is 32k to 1g, for example 256k",
        );
    }
    let requests = spec.keepalive_limits.requests;
    if requests.is_some_and(|requests| !(1..=1_000_000).contains(&requests)) {
        found.say(
            "/spec/keepalive_limits/requests",
            "a connection is kept for 1 to 1000000 requests",
        );
    }
    if spec.keepalive.unwrap_or(0) == 0 && spec.keepalive_limits != KeepaliveLimits::default() {
        found.say(
            "/spec/keepalive_limits",
            "keepalive_limits goes with keepalive, for example keepalive: 64",
        );
    }
    if spec.affinity.is_some() && spec.balance != Balance::RoundRobin {
        found.say(
            "/spec/affinity",
            "affinity goes with balance: round_robin, which chooses for those without the cookie",
        );
    }
}

fn resolving(spec: &UpstreamSpec, found: &mut Found) {
    if let Some(resolver) = &spec.resolver {
        found.seconds("/spec/resolver/valid", resolver.valid);
        if !(1..=10).contains(&resolver.servers.len()) {
            found.say(
                "/spec/resolver/servers",
                "there are 1 to 10 name servers, for example 127.0.0.53:53",
            );
        }
        for (index, server) in resolver.servers.iter().enumerate() {
            if server.as_str().starts_with("unix:") {
                found.say(
                    format!("/spec/resolver/servers/{index}"),
                    "a name server has a host and a port, for example 127.0.0.53:53",
                );
            }
        }
    }
    for (index, server) in spec.servers.iter().enumerate() {
        if server.resolve && spec.resolver.is_none() {
            found.say(
                format!("/spec/servers/{index}/resolve"),
                "resolve needs spec.resolver, for example resolver: { servers: [\"127.0.0.53:53\"] }",
            );
        }
        if server.resolve && server.address.as_str().starts_with("unix:") {
            found.say(
                format!("/spec/servers/{index}/resolve"),
                "only a host name is resolved",
            );
        }
    }
}
