//! What a stream server has to be in itself, and the upstreams it passes to.

use std::collections::BTreeSet;

use super::{Found, claims::Socket, location, traffic};
use crate::{
    document::Problem,
    model::{
        Balance, Datagrams, HashKey, Resource, ResourceSet, StreamListen, StreamProtocol,
        StreamServerSpec, StreamTls, UpstreamSpec,
        value::{ServerName, SizeBytes},
    },
};

pub(super) fn check(spec: &StreamServerSpec, found: &mut Found) {
    listen(spec, found);
    target(spec, found);
    datagrams(spec, found);
    if let Some(tls) = &spec.tls {
        self::tls(tls, found);
    }
    if let Some(tls) = &spec.upstream_tls {
        location::upstream_tls("/spec/upstream_tls", tls, found);
        if tls.server_name.is_none() && (tls.verify.is_some() || !tls.without_sni) {
            found.say(
                "/spec/upstream_tls/server_name",
                "here no host is asked for, so the name has to be said, for example server_name: db.internal; or say without_sni: true and no verify",
            );
        }
    }
    sizes(spec, found);
    if let Some(access) = &spec.access {
        traffic::access("/spec/access", access, found);
    }
    let logs = [
        spec.access_log
            .as_ref()
            .map(|log| ("access_log", log.file.is_some() == log.syslog.is_some())),
        spec.error_log
            .as_ref()
            .map(|log| ("error_log", log.file.is_some() == log.syslog.is_some())),
    ];
    for (field, wrong) in logs.into_iter().flatten() {
        if wrong {
            found.say(format!("/spec/{field}"), traffic::ONE_TARGET);
        }
    }
    if spec.error_log.as_ref().is_some_and(|log| log.rewrites) {
        found.say(
            "/spec/error_log/rewrites",
            "there are no rewrites in a stream server",
        );
    }
    if spec.snippets.len() > 20 {
        found.say(
            "/spec/snippets",
            "there are at most 20 snippets in one place",
        );
    }
}

fn listen(spec: &StreamServerSpec, found: &mut Found) {
    if !(1..=100).contains(&spec.listen.len()) {
        found.say(
            "/spec/listen",
            "a stream server listens on 1 to 100 ports, for example { port: 5432 }",
        );
    }
    let mut sockets = BTreeSet::new();
    for (index, one) in spec.listen.iter().enumerate() {
        let at = format!("/spec/listen/{index}");
        let own: Vec<Socket> = Socket::at(one.address, one.port).collect();
        let before = sockets.len();
        sockets.extend(own.iter().copied());
        if sockets.len() < before + own.len() {
            found.say(
                &*at,
                "an address and port is written once per stream server; a port without address has all of them",
            );
        }
        if one.backlog == Some(0) {
            found.say(
                format!("{at}/backlog"),
                "this is 1 to 65535 connections, for example 511",
            );
        }
        if let Some(field) = of_connections(one).filter(|_| spec.protocol == StreamProtocol::Udp) {
            found.say(format!("{at}/{field}"), "this goes with protocol: tcp");
        }
    }
}

fn of_connections(listen: &StreamListen) -> Option<&'static str> {
    if listen.proxy_protocol {
        Some("proxy_protocol")
    } else if listen.backlog.is_some() {
        Some("backlog")
    } else if listen.keepalive {
        Some("keepalive")
    } else {
        None
    }
}

fn target(spec: &StreamServerSpec, found: &mut Found) {
    let targets = [
        spec.pass.is_some(),
        spec.by_name.is_some(),
        spec.respond.is_some(),
    ];
    if targets.iter().filter(|there| **there).count() != 1 {
        found.say(
            "/spec",
            "exactly one of pass, by_name and respond is there, for example pass: db",
        );
    }
    if let Some(split) = &spec.split {
        location::shares("/spec/split", &split.shares, found);
        if spec.pass.is_none() {
            found.say("/spec/split", "split goes with pass, which takes the rest");
        }
    }
    if spec
        .respond
        .as_ref()
        .is_some_and(|text| text.as_str().is_empty())
    {
        found.say("/spec/respond", "the text has at least one character");
    }
    if let Some(by_name) = &spec.by_name {
        if !(1..=1000).contains(&by_name.routes.len()) {
            found.say(
                "/spec/by_name/routes",
                "there are 1 to 1000 routes, for example [{ server_names: [db.example.com], upstream: db }]",
            );
        }
        let mut seen = BTreeSet::new();
        for (index, route) in by_name.routes.iter().enumerate() {
            let at = format!("/spec/by_name/routes/{index}/server_names");
            if !(1..=100).contains(&route.server_names.len()) {
                found.say(&*at, "there are 1 to 100 names, for example db.example.com");
            }
            for (place, name) in route.server_names.iter().enumerate() {
                if !can_be_asked_for(name) {
                    found.say(
                        format!("{at}/{place}"),
                        "a name that TLS clients ask for has a dot, and '*' only as its first or last part, for example *.example.com",
                    );
                }
                if !seen.insert(name) {
                    found.say(
                        format!("{at}/{place}"),
                        "a name is written once per stream server",
                    );
                }
            }
        }
    }
}

/// Not `_`, no pattern, and no word that has a meaning of its own in a map.
fn can_be_asked_for(name: &ServerName) -> bool {
    !name.is_regex() && name.as_str().contains('.')
}

fn datagrams(spec: &StreamServerSpec, found: &mut Found) {
    let udp = spec.protocol == StreamProtocol::Udp;
    if udp {
        for (field, there) in [
            ("tls", spec.tls.is_some()),
            ("by_name", spec.by_name.is_some()),
            ("upstream_tls", spec.upstream_tls.is_some()),
        ] {
            if there {
                found.say(format!("/spec/{field}"), "this goes with protocol: tcp");
            }
        }
    } else if spec.datagrams != Datagrams::default() {
        found.say("/spec/datagrams", "this goes with protocol: udp");
    }
    let Datagrams {
        requests,
        responses,
    } = spec.datagrams;
    if requests.is_some_and(|requests| !(1..=1_000_000).contains(&requests)) {
        found.say(
            "/spec/datagrams/requests",
            "a session has 1 to 1000000 datagrams of the client, for example 1",
        );
    }
    if responses.is_some_and(|responses| responses > 1_000_000) {
        found.say(
            "/spec/datagrams/responses",
            "0 to 1000000 datagrams answer one, for example 1",
        );
    }
}

fn tls(tls: &StreamTls, found: &mut Found) {
    if tls.more_certificates.len() > 3 {
        found.say(
            "/spec/tls/more_certificates",
            "there are at most 3 more certificates, one for each type of key",
        );
    }
    let timeout = tls.session.as_ref().and_then(|it| it.timeout);
    found.seconds("/spec/tls/session/timeout", timeout);
    let cache = tls.session.as_ref().and_then(|it| it.cache);
    if cache.is_some_and(|size| !(32 << 10..=1 << 30).contains(&size.bytes())) {
        found.say(
            "/spec/tls/session/cache",
            "the memory for sessions is 32k to 1g, for example 10m",
        );
    }
    let depth = tls.client.as_ref().and_then(|client| client.depth);
    if depth.is_some_and(|depth| !(1..=10).contains(&depth)) {
        found.say("/spec/tls/client/depth", "a depth is 1 to 10");
    }
}

fn sizes(spec: &StreamServerSpec, found: &mut Found) {
    let buffer = spec.buffer_size.map(SizeBytes::bytes);
    if buffer.is_some_and(|size| !(1 << 10..=1 << 20).contains(&size)) {
        found.say("/spec/buffer_size", "a buffer is 1k to 1m, for example 16k");
    }
    if spec.limits.connections == Some(0) {
        found.say(
            "/spec/limits/connections",
            "a limit is 1 to 65535 connections, for example 100",
        );
    }
    for (field, rate) in [
        ("upload", spec.limits.upload),
        ("download", spec.limits.download),
    ] {
        if rate.is_some_and(|rate| rate.bytes() == 0) {
            found.say(
                format!("/spec/limits/{field}"),
                "a rate is at least 1 byte per second, for example 1m",
            );
        }
    }
    if spec
        .retry
        .tries
        .is_some_and(|tries| !(1..=100).contains(&tries))
    {
        found.say("/spec/retry/tries", "a server is asked 1 to 100 times");
    }
}

/// What an upstream says about requests cannot be done for a stream.
pub(super) fn upstreams(resources: &ResourceSet) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (key, resource) in resources.iter() {
        let Resource::StreamServer(server) = &**resource else {
            continue;
        };
        for (pointer, name) in server.spec.upstreams() {
            let upstream = resources.upstream(name);
            if let Some(what) = upstream.and_then(|upstream| of_requests(&upstream.spec)) {
                let rule = format!(
                    "Upstream/{name} has {what}, which needs HTTP; a stream server passes to one without"
                );
                problems.push(Problem::new(key, pointer, &rule));
            }
        }
    }
    problems
}

fn of_requests(spec: &UpstreamSpec) -> Option<&'static str> {
    match &spec.balance {
        Balance::IpHash => Some("balance: ip_hash"),
        Balance::Hash { key, .. } if *key != HashKey::RemoteAddr => {
            Some("a hash of something that requests have")
        }
        _ if spec.affinity.is_some() => Some("affinity by a cookie"),
        _ if !spec.snippets.is_empty() => Some("snippets"),
        _ => None,
    }
}
