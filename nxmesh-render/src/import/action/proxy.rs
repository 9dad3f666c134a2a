//! Passing requests to an upstream.

use serde_json::{Value, json};

use super::{Around, Plain, is, list, plain, request_headers, retry, upstream_tls};
use crate::import::{node::Node, scope::Scope, value::Form};

const PLAIN: [(&str, Form, &str); 10] = [
    ("proxy_connect_timeout", Form::Time, "timeouts/connect"),
    ("proxy_read_timeout", Form::Time, "timeouts/read"),
    ("proxy_send_timeout", Form::Time, "timeouts/send"),
    ("proxy_buffering", Form::Switch, "buffering"),
    ("proxy_request_buffering", Form::Switch, "request_buffering"),
    ("proxy_socket_keepalive", Form::Switch, "socket_keepalive"),
    ("proxy_buffer_size", Form::Word, "buffers/head"),
    ("proxy_busy_buffers_size", Form::Word, "buffers/busy"),
    ("proxy_max_temp_file_size", Form::Word, "buffers/max_file"),
    (
        "proxy_temp_file_write_size",
        Form::Word,
        "buffers/file_write",
    ),
];

const HEADER: &str = "proxy_set_header";

const OTHERS: [&str; 14] = [
    "proxy_pass",
    "proxy_set_header",
    "proxy_http_version",
    "proxy_buffers",
    "proxy_next_upstream",
    "proxy_next_upstream_tries",
    "proxy_next_upstream_timeout",
    "proxy_redirect",
    "proxy_cookie_domain",
    "proxy_cookie_path",
    "proxy_cookie_flags",
    "proxy_hide_header",
    "proxy_pass_header",
    "proxy_ignore_headers",
];

/// All directives that the action says.
pub(super) fn said() -> Vec<&'static str> {
    let plain = PLAIN.iter().map(|(name, ..)| *name);
    plain.chain(OTHERS).chain(upstream_tls::PROXY).collect()
}

/// The `proxy` action of a block with the `proxy_pass` that is `pass`.
///
/// Directives that have to stand beside it are added to `beside`.
pub(super) fn read<'n>(
    scope: &Scope<'n>,
    pass: &Node,
    around: &mut Around<'_, '_>,
    beside: &mut Vec<&'n Node>,
) -> Option<Value> {
    let [target] = &pass.arguments[..] else {
        return None;
    };
    let (https, rest) = match target.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, target.strip_prefix("http://")?),
    };
    if rest.contains('$') {
        return None;
    }
    let (authority, path) = split(rest);
    let mut proxy = json!({ "upstream": around.upstreams.for_authority(authority, https)? });
    if let Some(path) = path {
        proxy["rewrite"] = json!({ "prefix": path });
    }
    if https {
        proxy["scheme"] = json!("https");
        proxy["tls"] = upstream_tls::read(scope, "proxy", authority, &mut around.keys)?;
    }
    upgrade(scope, &mut proxy)?;
    request_headers(scope, HEADER, authority, &mut proxy, beside)?;
    if own(scope, "proxy_http_version").is_some_and(|node| node.first() == "1.0") {
        proxy["http_version"] = json!("HTTP/1.0");
    }
    let table: &Plain = &PLAIN;
    plain(scope, table, &mut proxy)?;
    if let Some(node) = own(scope, "proxy_buffers") {
        let [count, size] = &node.arguments[..] else {
            return None;
        };
        proxy["buffers"]["count"] = json!(count.parse::<u64>().ok()?);
        proxy["buffers"]["size"] = json!(size);
    }
    let again = retry(scope, "proxy")?;
    if again != json!({}) {
        proxy["retry"] = again;
    }
    responses(scope, &mut proxy)?;
    Some(proxy)
}

/// The server of a URL without its scheme, and the path behind it.
fn split(rest: &str) -> (&str, Option<&str>) {
    if let Some(socket) = rest.strip_prefix("unix:") {
        // `unix:/run/app.sock:/path`
        return match socket.find(':') {
            Some(colon) => {
                let path = &socket[colon + 1..];
                (&rest[..=colon + 4], (!path.is_empty()).then_some(path))
            }
            None => (rest, None),
        };
    }
    match rest.find('/') {
        Some(slash) => (&rest[..slash], Some(&rest[slash..])),
        None => (rest, None),
    }
}

/// Whether the request may upgrade; `None` if that is said in another way.
fn upgrade(scope: &Scope<'_>, proxy: &mut Value) -> Option<()> {
    for node in scope.all(HEADER) {
        if is(node.first(), "Upgrade") {
            match node.arguments.get(1).map_or("", String::as_str) {
                "" => {}
                "$http_upgrade" => proxy["websocket"] = json!(true),
                _ => return None,
            }
        }
    }
    Some(())
}

/// What becomes of headers of responses.
fn responses(scope: &Scope<'_>, proxy: &mut Value) -> Option<()> {
    for (name, field) in [
        ("proxy_hide_header", "hide_headers"),
        ("proxy_pass_header", "pass_headers"),
        ("proxy_ignore_headers", "ignore_headers"),
    ] {
        let headers = list(scope, name);
        if !headers.is_empty() {
            proxy[field] = json!(headers);
        }
    }
    redirects(scope, proxy)?;
    cookies(scope, proxy)
}

fn redirects(scope: &Scope<'_>, proxy: &mut Value) -> Option<()> {
    let mut rewrites = Vec::new();
    for node in scope.own().iter().filter(|it| it.name == "proxy_redirect") {
        match &node.arguments[..] {
            [word] if word == "off" => proxy["redirects"] = json!("as_sent"),
            [word] if word == "default" => proxy["redirects"] = json!("default"),
            [from, to] if !from.starts_with('~') && !from.contains('$') && !to.contains('$') => {
                rewrites.push(json!({ "from": from, "to": to }));
            }
            _ => return None,
        }
    }
    if !rewrites.is_empty() {
        // Only one of the words and rewrites can be said.
        if proxy.get("redirects").is_some() {
            return None;
        }
        proxy["redirects"] = json!({ "rewrite": rewrites });
    }
    Some(())
}

fn cookies(scope: &Scope<'_>, proxy: &mut Value) -> Option<()> {
    let mut cookies = json!({});
    let own = |name: &'static str| scope.own().iter().filter(move |it| it.name == name);
    for (name, field) in [
        ("proxy_cookie_domain", "domains"),
        ("proxy_cookie_path", "paths"),
    ] {
        let pairs: Option<Vec<Value>> = own(name)
            .map(|node| match &node.arguments[..] {
                [from, to]
                    if !from.starts_with('~') && !from.contains('$') && !to.contains('$') =>
                {
                    Some(json!({ "from": from, "to": to }))
                }
                _ => None,
            })
            .collect();
        let pairs = pairs?;
        if !pairs.is_empty() {
            cookies[field] = json!(pairs);
        }
    }
    let flags: Option<Vec<Value>> = own("proxy_cookie_flags").map(flags).collect();
    let flags = flags?;
    if !flags.is_empty() {
        cookies["flags"] = json!(flags);
    }
    if cookies != json!({}) {
        proxy["cookies"] = cookies;
    }
    Some(())
}

fn flags(node: &Node) -> Option<Value> {
    let (cookie, words) = node.arguments.split_first()?;
    let mut flags = match cookie.as_str() {
        "~" | "~.*" => json!({}),
        name if name.contains(['~', '$']) => return None,
        name => json!({ "cookie": name }),
    };
    for word in words {
        match word.to_ascii_lowercase().as_str() {
            "secure" => flags["secure"] = json!(true),
            "httponly" => flags["http_only"] = json!(true),
            same => flags["same_site"] = json!(same.strip_prefix("samesite=")?),
        }
    }
    Some(flags)
}

fn own<'n>(scope: &Scope<'n>, name: &str) -> Option<&'n Node> {
    scope.own().iter().rfind(|node| node.name == name)
}
