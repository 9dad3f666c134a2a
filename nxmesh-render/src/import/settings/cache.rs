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
    let mut rules = around.zones.caches.get(zone)?.clone();
    if let Some(key) = scope.word(&named("cache_key")) {
        let parts = key_parts(key)?;
        if !parts.is_empty() {
            rules["key"] = json!(parts);
        }
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
    for (name, field) in [
        ("cache_lock_timeout", "lock_timeout"),
        ("cache_lock_age", "lock_age"),
    ] {
        if let Some(word) = scope.word(&named(name)) {
            rules[field] = json!(time(word));
        }
    }
    past(prefix, scope, &mut rules)?;
    Some(json!({ "rules": rules }))
}

/// What a key tells apart beside the scheme, the host and the URL, which keys of caches
/// always do; `None` if it does not tell URLs apart, or something that no field says.
fn key_parts(key: &str) -> Option<Vec<Value>> {
    const ALWAYS: [&str; 11] = [
        "scheme",
        "host",
        "http_host",
        "proxy_host",
        "server_name",
        "server_port",
        "request_method",
        "uri",
        "is_args",
        "request_uri",
        "document_uri",
    ];
    let mut parts = Vec::new();
    let mut names = Vec::new();
    for text in key.split('$').skip(1) {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = match text.strip_prefix('{') {
            Some(braced) => braced.split('}').next()?,
            None => text.split(|c| !plain(c)).next()?,
        };
        names.push(name);
        if !ALWAYS.contains(&name) && !matches!(name, "args" | "query_string") {
            parts.push(request_part(&format!("${name}"))?);
        }
    }
    let has = |name: &str| names.contains(&name);
    let urls = has("request_uri") || (has("uri") && (has("args") || has("query_string")));
    urls.then_some(parts)
}

/// The directives that say what goes past the cache.
const PAST: [&str; 2] = ["cache_bypass", "no_cache"];

/// Sets what is not answered from the cache, and what is not kept.
fn past(prefix: &str, scope: &Scope<'_>, rules: &mut Value) -> Option<()> {
    let [asked, kept] = PAST.map(|name| words(&format!("{prefix}_{name}"), scope));
    let left = PAST.map(|name| is_left(&format!("{prefix}_{name}"), scope));
    if left.contains(&true) {
        // Both are Snippets then, each where it stands; what a field says further out
        // would be said here once more.
        let around = PAST.map(|name| scope.is_said_around(&format!("{prefix}_{name}")));
        return (!around.contains(&true)).then_some(());
    }
    let both = |word: &&String| asked.contains(word) && kept.contains(word);
    for (field, of, in_both) in [
        ("bypass", asked, true),
        ("renew", asked, false),
        ("not_kept", kept, false),
    ] {
        let words = of.iter().filter(|word| both(word) == in_both);
        let parts: Option<Vec<Value>> = words.map(|word| request_part(word)).collect();
        let parts = parts?;
        if !parts.is_empty() {
            rules[field] = json!(parts);
        }
    }
    Some(())
}

fn words<'n>(name: &str, scope: &Scope<'n>) -> &'n [String] {
    scope.find(name).map_or(&[], |node| &node.arguments)
}

/// Whether a directive of a cache is left to a Snippet beside the field: one of those that
/// say what goes past the cache, where this depends on more than a part of the request.
pub(super) fn is_left(name: &str, scope: &Scope<'_>) -> bool {
    ["proxy", "fastcgi"].iter().any(|prefix| {
        let names = PAST.map(|past| format!("{prefix}_{past}"));
        let odd = |word: &String| request_part(word).is_none();
        names.iter().any(|it| it == name) && names.iter().any(|it| words(it, scope).iter().any(odd))
    })
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
            ("levels" | "use_temp_path" | "min_free", _) => {}
            (how, _) if how.starts_with("loader_") || how.starts_with("manager_") => {}
            _ => return None,
        }
    }
    Some((name?, rules))
}
