//! What is kept of responses.

use super::{Found, limits};
use crate::model::traffic::{Cache, CacheRules, StaleCase};

/// The headers of responses that say how long they are kept, of those nginx can
/// be told to ignore (nginx manual, `proxy_ignore_headers`).
const IGNORABLE: [&str; 5] = [
    "Cache-Control",
    "Expires",
    "Set-Cookie",
    "Vary",
    "X-Accel-Expires",
];

pub(super) fn check(at: &str, cache: &Cache, found: &mut Found) {
    let Cache::Rules(rules) = cache else { return };
    let at = &format!("{at}/rules");
    limits::zone(at, rules.zone_size, found);
    lists(at, rules, found);
    if rules.max_size.is_some_and(|size| size.bytes() < 1 << 20) {
        found.say(
            format!("{at}/max_size"),
            "a cache takes at least 1m of disk, for example 1g",
        );
    }
    if rules.inactive.is_some_and(|time| time.whole_seconds() == 0) {
        found.say(
            format!("{at}/inactive"),
            "a response is kept for at least a second, for example 10m",
        );
    }
    found.seconds(format!("{at}/inactive"), rules.inactive);
    if rules
        .min_uses
        .is_some_and(|uses| !(1..=1000).contains(&uses))
    {
        found.say(format!("{at}/min_uses"), "min_uses is 1 to 1000");
    }
    for (index, method) in rules.methods.iter().enumerate() {
        if !matches!(method.as_str(), "GET" | "HEAD" | "POST") {
            found.say(
                format!("{at}/methods/{index}"),
                "responses to GET, HEAD and POST can be kept",
            );
        }
    }
    if rules.background_update && !rules.use_stale.contains(&StaleCase::Updating) {
        found.say(
            format!("{at}/background_update"),
            "background_update needs use_stale: [updating]",
        );
    }
    for (index, header) in rules.ignore_headers.iter().enumerate() {
        let known = |name: &&str| name.eq_ignore_ascii_case(header.as_str());
        if !IGNORABLE.iter().any(known) {
            found.say(
                format!("{at}/ignore_headers/{index}"),
                "a header to ignore is one of Cache-Control, Expires, Set-Cookie, Vary and X-Accel-Expires",
            );
        }
    }
}

fn lists(at: &str, rules: &CacheRules, found: &mut Found) {
    if rules.key.len() > 10 {
        found.say(format!("{at}/key"), "a key has at most 10 parts more");
    }
    for (field, parts) in [
        ("bypass", &rules.bypass),
        ("renew", &rules.renew),
        ("not_kept", &rules.not_kept),
    ] {
        if parts.len() > 10 {
            found.say(
                format!("{at}/{field}"),
                "there are at most 10 reasons to go past the cache",
            );
        }
    }
    if rules.valid.len() > 20 {
        found.say(format!("{at}/valid"), "there are at most 20 times");
    }
    for (index, valid) in rules.valid.iter().enumerate() {
        found.seconds(format!("{at}/valid/{index}/time"), Some(valid.time));
        if valid.statuses.len() > 20 {
            found.say(
                format!("{at}/valid/{index}/statuses"),
                "there are at most 20 statuses",
            );
        }
    }
}
