//! Keeping responses of upstreams.

use serde_json::{Value, json};

use super::{Around, limits::validity};
use crate::import::{
    scope::Scope,
    value::{request_part, time},
};

pub(super) const PROXY: [&str; 13] = [
    "proxy_cache",
    "proxy_cache_key",
    "proxy_cache_valid",
    "proxy_cache_methods",
    "proxy_cache_use_stale",
    "proxy_cache_lock",
    "proxy_cache_revalidate",
    "proxy_cache_background_update",
    "proxy_cache_min_uses",
    "proxy_cache_bypass",
    "proxy_no_cache",
    "proxy_cache_lock_timeout",
    "proxy_cache_lock_age",
];

pub(super) const FASTCGI: [&str; 13] = [
    "fastcgi_cache",
    "fastcgi_cache_key",
    "fastcgi_cache_valid",
    "fastcgi_cache_methods",
    "fastcgi_cache_use_stale",
    "fastcgi_cache_lock",
    "fastcgi_cache_revalidate",
    "fastcgi_cache_background_update",
    "fastcgi_cache_min_uses",
    "fastcgi_cache_bypass",
    "fastcgi_no_cache",
    "fastcgi_cache_lock_timeout",
    "fastcgi_cache_lock_age",
];

/// Keys that tell apart what a field's key tells apart anyway.
const KEYS: [&str; 7] = [
    "$scheme$proxy_host$request_uri",
    "$scheme$host$request_uri",
    "$host$request_uri",
    "$scheme$proxy_host$uri$is_args$args",
    "$scheme$request_method$host$request_uri",
    "$scheme://$host$request_uri",
    "$request_method$host$request_uri",
];

/// The cache that directives with `prefix` say; a block with those of both says none.
pub(super) fn read(prefix: &str, scope: &Scope<'_>, around: &Around<'_>) -> Option<Value> {
    if scope.find("proxy_cache").is_some() && scope.find("fastcgi_cache").is_some() {
        return None;
    }
    let named = |name: &str| format!("{prefix}_{name}");
    let zone = scope.word(&named("cache"))?;
    if zone == "off" {
        return Some(json!("none"));
    }
    let unsaid = ["cache_lock_timeout", "cache_lock_age"];
    if unsaid.iter().any(|name| scope.find(&named(name)).is_some()) {
        return None;
    }
    let mut rules = around.zones.caches.get(zone)?.clone();
    if let Some(key) = scope.word(&named("cache_key"))
        && !KEYS.contains(&key)
    {
        return None;
    }
    let valid: Option<Vec<Value>> = scope
        .all(&named("cache_valid"))
        .into_iter()
        .map(validity)
        .collect();
    rules["valid"] = json!(valid?);
    if let Some(methods) = scope.find(&named("cache_methods")) {
        let more = methods.arguments.iter().filter(|it| *it == "POST");
        rules["methods"] = more.map(|it| json!(it)).collect();
    }
    if let Some(stale) = scope.find(&named("cache_use_stale")) {
        let cases = stale.arguments.iter().filter(|case| *case != "off");
        // The document has `http500` for `http_500`.
        let named = cases.map(|case| json!(case.replace("http_", "http")));
        rules["use_stale"] = named.collect();
    }
    for (name, field) in [
        ("cache_lock", "lock"),
        ("cache_revalidate", "revalidate"),
        ("cache_background_update", "background_update"),
    ] {
        if scope.on(&named(name)) {
            rules[field] = json!(true);
        }
    }
    if let Some(uses) = scope.word(&named("cache_min_uses")) {
        rules["min_uses"] = json!(uses.parse::<u64>().ok()?);
    }
    rules["bypass"] = json!(bypass(prefix, scope)?);
    Some(json!({ "rules": rules }))
}

/// What is not answered from the cache is not kept either, and the other way.
fn bypass(prefix: &str, scope: &Scope<'_>) -> Option<Vec<Value>> {
    let words = |name: &str| {
        let node = scope.find(&format!("{prefix}_{name}"));
        node.map_or(&[][..], |node| &node.arguments[..])
    };
    let (asked, kept) = (words("cache_bypass"), words("no_cache"));
    if asked != kept {
        return None;
    }
    asked.iter().map(|word| request_part(word)).collect()
}

/// The name of a `proxy_cache_path` or `fastcgi_cache_path`, and what a field says of it.
pub(in crate::import) fn path(arguments: &[String]) -> Option<(&str, Value)> {
    let mut rules = json!({});
    let mut name = None;
    for argument in arguments.iter().skip(1) {
        match argument.split_once('=')? {
            ("keys_zone", zone) => {
                let (zone, size) = zone.split_once(':')?;
                name = Some(zone);
                rules["zone_size"] = json!(size);
            }
            ("max_size", size) => rules["max_size"] = json!(size),
            ("inactive", inactive) => rules["inactive"] = json!(time(inactive)),
            // How the folder is laid out and written is NxMesh's.
            ("levels" | "use_temp_path", _) => {}
            _ => return None,
        }
    }
    Some((name?, rules))
}
