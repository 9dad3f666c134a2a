//! Who has to show who they are.

use std::collections::BTreeSet;

use super::Found;
use crate::check::location;
use crate::model::{
    TrafficSettings,
    traffic::{ApiKeys, AuthService, BasicAuth, ExternalAuth},
    value::ClientName,
};

pub(super) fn check(at: &str, settings: &TrafficSettings, found: &mut Found) {
    if let Some(ExternalAuth::Service(service)) = settings.external_auth.as_deref() {
        self::service(&format!("{at}/external_auth/service"), service, found);
    }
    if let Some(BasicAuth::Users(users)) = settings.basic_auth.as_deref() {
        let names = users.list.iter().map(|user| &user.name);
        clients(&format!("{at}/basic_auth/users/list"), names, found);
    }
    if let Some(ApiKeys::Required(holders)) = settings.api_keys.as_deref() {
        let at = format!("{at}/api_keys/required");
        let names = holders.list.iter().map(|holder| &holder.name);
        clients(&format!("{at}/list"), names, found);
        if holders.status.is_some_and(|status| status.get() < 400) {
            found.say(
                format!("{at}/status"),
                "the status of refused requests is 400 to 599, for example 401",
            );
        }
        let mut keys = BTreeSet::new();
        for (index, holder) in holders.list.iter().enumerate() {
            if !keys.insert(holder.secret.expose()) {
                found.say(
                    format!("{at}/list/{index}/secret"),
                    "a key belongs to one program",
                );
            }
        }
    }
}

/// Headers that the service is told anyway.
const TOLD: [&str; 8] = [
    "Host",
    "Proxy",
    "X-Original-Method",
    "X-Original-URI",
    "X-Original-Host",
    "X-Real-IP",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
];

fn service(at: &str, service: &AuthService, found: &mut Found) {
    location::upstream_scheme(at, service.scheme, service.tls.as_deref(), found);
    if service.copy_headers.len() > 20 {
        found.say(
            format!("{at}/copy_headers"),
            "there are at most 20 headers to copy",
        );
    }
    if service.request_headers.len() > 20 {
        found.say(
            format!("{at}/request_headers"),
            "there are at most 20 headers in one place",
        );
    }
    location::request_headers(at, &service.request_headers, found);
    for (index, header) in service.request_headers.iter().enumerate() {
        let name = header.name.as_str();
        let before = &service.request_headers[..index];
        let same = |other: &str| other.eq_ignore_ascii_case(name);
        if TOLD.into_iter().any(same) {
            found.say(
                format!("{at}/request_headers/{index}/name"),
                "the service is told this header anyway; choose another, for example X-Site",
            );
        }
        if before.iter().any(|other| same(other.name.as_str())) {
            found.say(
                format!("{at}/request_headers/{index}/name"),
                "a header is set once",
            );
        }
    }
    if let Some(cache) = &service.cache {
        if cache.by.len() > 10 {
            found.say(
                format!("{at}/cache/by"),
                "there are at most 10 headers to decide by",
            );
        }
        found.seconds(format!("{at}/cache/time"), Some(cache.time));
        if cache.time.as_duration().as_secs() == 0 {
            found.say(
                format!("{at}/cache/time"),
                "a decision counts for at least a second, for example 10s",
            );
        }
    }
}

fn clients<'a>(at: &str, names: impl ExactSizeIterator<Item = &'a ClientName>, found: &mut Found) {
    if !(1..=1000).contains(&names.len()) {
        found.say(at, "there are 1 to 1000 clients in one place");
    }
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            found.say(format!("{at}/{index}/name"), "a client is written once");
        }
    }
}
