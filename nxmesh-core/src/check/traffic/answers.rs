//! What is answered instead of the usual: to clients that are turned away, to
//! other origins, and for errors.

use super::Found;
use crate::check::location;
use crate::model::{
    TrafficSettings,
    traffic::{Block, Cors, ErrorAnswer, ErrorPage},
};

pub(super) fn check(at: &str, settings: &TrafficSettings, found: &mut Found) {
    if let Some(block) = &settings.block {
        self::block(&format!("{at}/block"), block, found);
    }
    if let Some(maintenance) = &settings.maintenance
        && maintenance.except.len() > 1000
    {
        found.say(
            format!("{at}/maintenance/except"),
            "there are at most 1000 networks",
        );
    }
    if let Some(cors) = &settings.cors {
        self::cors(&format!("{at}/cors"), cors, found);
    }
    error_pages(&format!("{at}/error_pages"), &settings.error_pages, found);
}

fn block(at: &str, block: &Block, found: &mut Found) {
    if block.networks.is_empty() && block.user_agents.is_empty() && block.referers.is_empty() {
        found.say(
            at,
            "block has networks, user_agents or referers, for example { networks: [192.0.2.0/24] }",
        );
    }
    if block.networks.len() > 10_000 {
        found.say(
            format!("{at}/networks"),
            "there are at most 10000 networks in one place",
        );
    }
    for (field, patterns) in [
        ("user_agents", &block.user_agents),
        ("referers", &block.referers),
    ] {
        if patterns.len() > 100 {
            found.say(
                format!("{at}/{field}"),
                "there are at most 100 patterns in one place",
            );
        }
    }
}

fn cors(at: &str, cors: &Cors, found: &mut Found) {
    if !(1..=100).contains(&cors.origins.len()) {
        found.say(
            format!("{at}/origins"),
            "there are 1 to 100 origins, for example https://app.example.com",
        );
    }
    let any = cors.origins.iter().any(|origin| origin.as_str() == "*");
    if any && cors.origins.len() > 1 {
        found.say(
            format!("{at}/origins"),
            "the origin * stands alone: it is any",
        );
    }
    if any && cors.credentials {
        found.say(
            format!("{at}/credentials"),
            "credentials are for origins that are named, not for *",
        );
    }
    if cors.methods.len() > 20 {
        found.say(format!("{at}/methods"), "there are at most 20 methods");
    }
    for (field, headers) in [("headers", &cors.headers), ("expose", &cors.expose)] {
        if headers.len() > 100 {
            found.say(format!("{at}/{field}"), "there are at most 100 headers");
        }
    }
}

fn error_pages(at: &str, pages: &[ErrorPage], found: &mut Found) {
    if pages.len() > 20 {
        found.say(at, "there are at most 20 error pages in one place");
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, page) in pages.iter().enumerate() {
        let at = format!("{at}/{index}");
        if !(1..=20).contains(&page.codes.len()) {
            found.say(
                format!("{at}/codes"),
                "an error page is for 1 to 20 codes, for example [404]",
            );
        }
        for (place, code) in page.codes.iter().enumerate() {
            if code.get() < 400 {
                found.say(
                    format!("{at}/codes/{place}"),
                    "an error is 400 to 599, for example 404",
                );
            }
            if !seen.insert(*code) {
                found.say(
                    format!("{at}/codes/{place}"),
                    "a code has one error page in one place",
                );
            }
        }
        if let ErrorAnswer::Upstream(page) = &page.send {
            let at = format!("{at}/send/upstream");
            location::upstream_scheme(&at, page.scheme, page.tls.as_deref(), found);
        }
    }
}
