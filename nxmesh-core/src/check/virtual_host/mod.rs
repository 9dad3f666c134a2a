//! What a virtual host has to be in itself.

mod client;
mod tls;

use std::collections::BTreeSet;

use super::{Found, claims::Socket, delegation, location, traffic};
use crate::model::{PathMatch, TlsVersion, VirtualHostSpec, value::ServerName};

pub(super) fn check(spec: &VirtualHostSpec, found: &mut Found) {
    server_names(&spec.server_names, found);
    redirect_names(spec, found);
    listen(spec, found);
    if let Some(tls) = &spec.tls {
        tls::check(tls, &spec.listen, found);
    }
    if let Some(proxy) = &spec.behind_tls_proxy {
        tls::behind(proxy, found);
    }
    if spec.reject_handshake && spec.tls.is_some() {
        found.say(
            "/spec/reject_handshake",
            "a host that takes no handshake needs no spec.tls",
        );
    }
    if let Some(client) = &spec.client {
        client::check(client, found);
    }
    paths_of_our_own(spec, found);
    delegation::delegates(spec, found);
    traffic::check("/spec", &spec.traffic, found);
    locations(spec, found);
}

fn server_names(names: &[ServerName], found: &mut Found) {
    if names.is_empty() {
        found.say(
            "/spec/server_names",
            "a virtual host has at least one server name, for example shop.example.com",
        );
    }
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        if !seen.insert(name) {
            found.say(
                format!("/spec/server_names/{index}"),
                "a server name is written once per virtual host",
            );
        }
    }
}

fn redirect_names(spec: &VirtualHostSpec, found: &mut Found) {
    if spec.redirect_names.len() > 100 {
        found.say(
            "/spec/redirect_names",
            "there are at most 100 names that are led elsewhere",
        );
    }
    let plain = spec.server_names.first().and_then(ServerName::sample_host);
    let is_one = plain.is_some_and(|host| spec.server_names[0].as_str() == host);
    if !spec.redirect_names.is_empty() && !is_one {
        found.say(
            "/spec/redirect_names",
            "names are led to the first of server_names, which has to be one host, for example shop.example.com",
        );
    }
    let mut seen: BTreeSet<&str> = spec.server_names.iter().map(|it| it.as_str()).collect();
    for (index, name) in spec.redirect_names.iter().enumerate() {
        if !seen.insert(name.as_str()) {
            found.say(
                format!("/spec/redirect_names/{index}"),
                "a name is written once per virtual host",
            );
        }
    }
}

/// Paths that are answered whatever the locations say.
fn paths_of_our_own(spec: &VirtualHostSpec, found: &mut Found) {
    let is_taken = |taken: &dyn Fn(&PathMatch) -> bool| {
        let mut paths = spec.locations.iter().map(|location| &location.path);
        paths.any(taken)
    };
    let status = spec.status.as_ref().map(|status| &status.path);
    let own = [
        ("/spec/health", spec.health.as_ref()),
        ("/spec/config_version", spec.config_version.as_ref()),
        ("/spec/status/path", status),
    ];
    for (index, (pointer, path)) in own.iter().enumerate() {
        let Some(path) = path else { continue };
        if is_taken(&|other| matches!(other, PathMatch::Exact(other) if other == *path)) {
            found.say(*pointer, "a location has this path already");
        }
        if own[..index].iter().any(|(_, other)| *other == Some(*path)) {
            found.say(*pointer, "another answer of the host has this path already");
        }
    }
    if spec
        .status
        .as_ref()
        .is_some_and(|status| !(1..=100).contains(&status.allow.len()))
    {
        found.say(
            "/spec/status/allow",
            "there are 1 to 100 networks that may ask, for example 127.0.0.0/8",
        );
    }
    let challenge = delegation::ACME_CHALLENGE;
    let same = |path: &PathMatch| match path {
        PathMatch::Prefix(path) | PathMatch::PrefixPriority(path) => path.as_str() == challenge,
        _ => false,
    };
    if spec.acme_challenge.is_some() && is_taken(&same) {
        found.say(
            "/spec/acme_challenge",
            "a location has the path /.well-known/acme-challenge/ already",
        );
    }
}

fn listen(spec: &VirtualHostSpec, found: &mut Found) {
    let listens = &spec.listen;
    let has_tls = spec.tls.is_some() || spec.reject_handshake;
    if listens.is_empty() {
        found.say(
            "/spec/listen",
            "a virtual host listens on at least one port, for example { port: 80 }",
        );
    }
    let mut sockets: BTreeSet<Socket> = BTreeSet::new();
    for (index, listen) in listens.iter().enumerate() {
        let at = format!("/spec/listen/{index}");
        let before = sockets.len();
        let own: Vec<Socket> = Socket::of(listen).collect();
        sockets.extend(own.iter().copied());
        if sockets.len() < before + own.len() {
            found.say(
                &*at,
                "an address and port is written once per virtual host; a port without address has all of them",
            );
        }
        if listen.tls && !has_tls {
            found.say(
                &*at,
                "a TLS port needs spec.tls, for example tls: { certificate: shop-cert }",
            );
        }
        for (field, number) in [("backlog", listen.backlog), ("fast_open", listen.fast_open)] {
            if number == Some(0) {
                found.say(
                    format!("{at}/{field}"),
                    "this is 1 to 65535 connections, for example 511",
                );
            }
        }
        if listen.http2 && !listen.tls {
            found.say(
                at,
                "http2 needs tls on the same port, for example { port: 443, tls: true, http2: true }",
            );
        }
        let at = format!("/spec/listen/{index}/http3");
        if listen.http3 && !listen.tls {
            found.say(
                &*at,
                "http3 needs tls on the same port, for example { port: 443, tls: true, http3: true }",
            );
        }
        if listen.http3 && listen.proxy_protocol {
            found.say(&*at, "there is no PROXY protocol for http3");
        }
        let versions = spec.tls.as_ref().map(|tls| &tls.protocols);
        if listen.http3
            && versions.is_some_and(|it| !it.is_empty() && !it.contains(&TlsVersion::Tls13))
        {
            found.say(at, "http3 needs TLSv1.3 among spec.tls.protocols");
        }
    }
}

fn locations(spec: &VirtualHostSpec, found: &mut Found) {
    let mut paths = BTreeSet::new();
    for (index, location) in spec.locations.iter().enumerate() {
        let at = format!("/spec/locations/{index}");
        traffic::check(&at, &location.traffic, found);
        traffic::headers_of_location(&at, location, Some(&spec.traffic), found);
        location::check(&at, location, found);
        if location.traffic.real_ip.is_some() {
            found.say(
                format!("{at}/real_ip"),
                "real_ip is for the virtual host: nginx takes the address before it looks for a location",
            );
        }
        // nginx refuses a prefix and a priority prefix of the same path as duplicates.
        let kind = match location.path {
            PathMatch::Exact(_) => 0,
            PathMatch::Prefix(_) | PathMatch::PrefixPriority(_) => 1,
            PathMatch::Regex(_) => 2,
            PathMatch::RegexIgnoreCase(_) => 3,
        };
        if !paths.insert((kind, location.path.as_str())) {
            found.say(
                format!("/spec/locations/{index}/path"),
                "a path is written once per virtual host and kind of match",
            );
        }
    }
}
