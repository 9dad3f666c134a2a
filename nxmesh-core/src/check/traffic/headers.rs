//! Headers of responses that something else says already: nginx would send two.

use super::Found;
use crate::model::{Action, Location, ResponseHeader, TrafficSettings};

/// What nginx sends with every response, and what says it.
const OF_NGINX: [(&str, &str); 4] = [
    (
        "Content-Type",
        "the type of a response is that of the upstream, content_type of respond, or for files media_types of NginxSettings; of two headers clients take either",
    ),
    (
        "Server",
        "what nginx tells of itself is server_tokens of the virtual host, and what an upstream tells pass_headers of its proxy, for example pass_headers: [Server]",
    ),
    (
        "Date",
        "nginx sends the date itself; that of an upstream is passed by pass_headers of its proxy, for example pass_headers: [Date]",
    ),
    (
        "Accept-Ranges",
        "nginx says itself whether parts may be asked for",
    ),
];

pub(super) fn check(at: &str, settings: &TrafficSettings, found: &mut Found) {
    for (header, rule) in OF_NGINX {
        each(at, settings, |name| is(name, header), rule, found);
    }
    if settings.cors.is_some() {
        beside_cors(at, settings, found);
    }
}

/// What a location says beside its action and its host.
pub(in crate::check) fn of_location(
    at: &str,
    location: &Location,
    host: Option<&TrafficSettings>,
    found: &mut Found,
) {
    let settings = &location.traffic;
    if matches!(location.action, Action::Redirect(_)) {
        let rule = "a redirect says where it leads, for example redirect: { to: /new }";
        each(at, settings, |name| is(name, "Location"), rule, found);
    }
    if settings.cors.is_none() && host.is_some_and(|host| host.cors.is_some()) {
        beside_cors(at, settings, found);
    }
}

/// Browsers take no response with two of these.
fn beside_cors(at: &str, settings: &TrafficSettings, found: &mut Found) {
    let of_cors = |name: &str| {
        let prefix = "Access-Control-";
        let start = name.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let rule = "cors says which origins may read responses, for example cors: { origins: [\"https://app.example.com\"] }";
    each(at, settings, of_cors, rule, found);
}

fn each(
    at: &str,
    settings: &TrafficSettings,
    wrong: impl Fn(&str) -> bool,
    rule: &'static str,
    found: &mut Found,
) {
    let headers = settings.response_headers.iter().enumerate();
    let headers = headers.filter(|(_, ResponseHeader { name, .. })| wrong(name.as_str()));
    for (index, _) in headers {
        found.say(format!("{at}/response_headers/{index}/name"), rule);
    }
}

const fn is(name: &str, header: &str) -> bool {
    name.eq_ignore_ascii_case(header)
}
