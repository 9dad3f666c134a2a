//! What a virtual host has to be in itself.

use std::collections::BTreeSet;

use super::{Found, claims::Socket, location, traffic};
use crate::model::{Listen, Location, PathMatch, Tls, VirtualHostSpec, value::ServerName};

pub(super) fn check(spec: &VirtualHostSpec, found: &mut Found) {
    server_names(&spec.server_names, found);
    listen(&spec.listen, spec.tls.is_some(), found);
    if let Some(tls) = &spec.tls {
        self::tls(tls, &spec.listen, found);
    }
    traffic::check("/spec", &spec.traffic, found);
    locations(&spec.locations, found);
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

fn listen(listens: &[Listen], has_tls: bool, found: &mut Found) {
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
        if listen.http2 && !listen.tls {
            found.say(
                at,
                "http2 needs tls on the same port, for example { port: 443, tls: true, http2: true }",
            );
        }
    }
}

fn tls(tls: &Tls, listens: &[Listen], found: &mut Found) {
    if !listens.iter().any(|listen| listen.tls) {
        found.say(
            "/spec/tls",
            "spec.tls needs a port with tls, for example listen: [{ port: 443, tls: true }]",
        );
    }
    if tls.redirect_http && listens.iter().all(|listen| listen.tls) {
        found.say(
            "/spec/tls/redirect_http",
            "redirect_http needs a port without tls, for example listen: [{ port: 80 }, { port: 443, tls: true }]",
        );
    }
}

fn locations(locations: &[Location], found: &mut Found) {
    let mut paths = BTreeSet::new();
    for (index, location) in locations.iter().enumerate() {
        let at = format!("/spec/locations/{index}");
        traffic::check(&at, &location.traffic, found);
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
