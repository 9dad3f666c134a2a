//! Arbitrary documents, as JSON.

use nxmesh_core::testkit::{renderer::hostile, sample};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

/// Text of any kind, and the kinds that hurt.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,40}",
        "[a-z0-9./*-]{0,20}",
        select(&hostile::TEXTS[..]).prop_map(str::to_owned),
        "[\\x00-\\x1f\\x7f-\\x9fa]{0,10}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?"
}

fn plain() -> impl Strategy<Value = String> {
    // Any character that is not a control character.
    "[^\\x00-\\x1f\\x7f-\\x9f]{1,60}"
}

fn time() -> impl Strategy<Value = String> {
    (0_u32..3650, select(&["ms", "s", "m", "h", "d"][..]))
        .prop_map(|(number, unit)| format!("{number}{unit}"))
}

fn size() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_u32..1024, select(&["", "k", "m", "g"][..]))
            .prop_map(|(n, unit)| json!(format!("{n}{unit}"))),
        (0_u64..1 << 40).prop_map(|n| json!(n)),
    ]
}

fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    prop_oneof![Just(Value::Null), value].boxed()
}

fn header_name() -> impl Strategy<Value = String> {
    // "TE" is nginx's own, and as short names go it comes up.
    "[A-Za-z0-9!#%&'*+.^_`|~-]{1,20}".prop_filter("nginx's own", |name| {
        !name.eq_ignore_ascii_case("te") && !name.eq_ignore_ascii_case("trailer")
    })
}

fn response_headers() -> impl Strategy<Value = Value> {
    let header = (header_name(), plain(), any::<bool>()).prop_map(
        |(name, value, always)| json!({ "name": name, "value": value, "always": always }),
    );
    prop::collection::vec(header, 0..3).prop_map(Value::from)
}

fn request_header() -> impl Strategy<Value = Value> {
    let variables = ["host", "remote_addr", "scheme", "proxy_add_x_forwarded_for"];
    (header_name(), 0..3, plain(), select(variables.to_vec())).prop_map(
        |(name, kind, text, variable)| match kind {
            0 => json!({ "name": name, "value": text }),
            1 => json!({ "name": name, "variable": variable }),
            _ => json!({ "name": name, "remove": true }),
        },
    )
}

fn action() -> impl Strategy<Value = (&'static str, Value)> {
    let proxy = (
        name(),
        select(&["http", "https"][..]),
        any::<bool>(),
        maybe(time().prop_map(Value::from)),
        prop::collection::vec(request_header(), 0..3),
        maybe(any::<bool>().prop_map(Value::from)),
    )
        .prop_map(
            |(upstream, scheme, websocket, connect, headers, buffering)| {
                json!({
                    "upstream": upstream, "scheme": scheme, "websocket": websocket,
                    "timeouts": { "connect": connect, "read": connect }, "request_headers": headers,
                    "buffering": buffering,
                })
            },
        );
    let files = (
        "/[^\\x00-\\x1f\\x7f-\\x9f.]{0,40}",
        prop::collection::vec("[a-z]{1,8}[.]html", 0..3),
    )
        .prop_map(|(root, index)| json!({ "root": root, "index": index }));
    let redirect = (
        "/[!-.0-\\[\\]-~][!-\\[\\]-~]{0,40}",
        select(&[301, 302, 303, 307, 308][..]),
        any::<bool>(),
    )
        .prop_map(
            |(to, code, append)| json!({ "to": to, "code": code, "append_request_uri": append }),
        );
    let respond = (200..300_u16, plain()).prop_map(|(status, body)| {
        json!({ "status": status, "body": body, "content_type": "text/plain; charset=utf-8" })
    });
    prop_oneof![
        proxy.prop_map(|value| ("proxy", value)),
        files.prop_map(|value| ("static", value)),
        redirect.prop_map(|value| ("redirect", value)),
        respond.prop_map(|value| ("respond", value)),
    ]
}

fn location() -> impl Strategy<Value = Value> {
    let kinds = ["exact", "prefix", "prefix_priority"];
    let path = prop_oneof![
        (
            "/[^\\x00-\\x1f\\x7f-\\x9f]{0,40}",
            select(kinds.to_vec()).prop_map(str::to_owned)
        ),
        (
            "[\\^]/[a-z]{1,10}([.](png|jpg))?[$]",
            select(&["regex", "regex_ignore_case"][..]).prop_map(str::to_owned)
        ),
    ];
    (path, action(), response_headers(), maybe(size())).prop_map(
        |((path, kind), (action, value), headers, size)| {
            let mut location = json!({
                "path": path, "match": kind, "response_headers": headers, "max_body_size": size,
            });
            location[action] = value;
            location
        },
    )
}

fn metadata() -> impl Strategy<Value = Value> {
    let labels = prop::collection::btree_map(
        "[a-z]([a-z/_.-]{0,9}[a-z])?",
        "([A-Za-z0-9]([a-z_.-]{0,9}[a-z])?)?",
        0..3,
    );
    (name(), name(), labels)
        .prop_map(|(name, workspace, labels)| json!({ "name": name, "workspace": workspace, "labels": labels }))
}

fn listen() -> impl Strategy<Value = Value> {
    let address = any::<std::net::IpAddr>().prop_map(|address| json!(address.to_string()));
    (1..=u16::MAX, maybe(address), any::<[bool; 3]>()).prop_map(|(port, address, [tls, http2, default])| {
        json!({ "port": port, "address": address, "tls": tls, "http2": http2, "default_server": default })
    })
}

fn server_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "([*][.])?[a-z0-9]{1,10}([.][A-Z][a-z0-9-]{0,8}[a-z]){0,3}",
        "~[\\^]www[\\\\]d[+][.][a-z]{1,9}[$]",
        Just("_".to_owned()),
    ]
}

pub(crate) fn selector() -> impl Strategy<Value = String> {
    let key = "[a-z]([a-z/_.-]{0,6}[a-z])?";
    let value = "([A-Za-z0-9]([a-z_.-]{0,6}[a-z])?)?";
    let values = prop::collection::vec(value, 1..4).prop_map(|values| values.join(" , "));
    let requirement = prop_oneof![
        (key, value).prop_map(|(key, value)| format!("{key}={value}")),
        (key, value).prop_map(|(key, value)| format!("{key} == {value}")),
        (key, value).prop_map(|(key, value)| format!("{key} != {value}")),
        (key, values.clone()).prop_map(|(key, values)| format!("{key} in ({values})")),
        (key, values).prop_map(|(key, values)| format!("{key}  notin( {values} )")),
        key.prop_map(String::from),
        key.prop_map(|key| format!("!{key}")),
    ];
    prop::collection::vec(requirement, 0..5).prop_map(|all| all.join(" , "))
}

pub(crate) fn virtual_host() -> impl Strategy<Value = Value> {
    let tls = (
        name(),
        select(&["modern", "intermediate"][..]),
        time(),
        any::<bool>(),
    )
        .prop_map(|(certificate, policy, age, flag)| {
            json!({
                "certificate": certificate, "policy": policy, "redirect_http": flag,
                "hsts": { "max_age": age, "include_subdomains": flag, "preload": !flag },
            })
        });
    (
        metadata(),
        selector(),
        prop::collection::vec(server_name(), 0..4),
        prop::collection::vec(listen(), 0..4),
        maybe(tls),
        prop::collection::vec(location(), 0..4),
        response_headers(),
        maybe(size()),
    )
        .prop_map(
            |(metadata, selector, names, listen, tls, locations, headers, size)| {
                json!({
                    "kind": "VirtualHost",
                    "metadata": metadata,
                    "spec": {
                        "selector": selector, "server_names": names, "listen": listen, "tls": tls,
                        "locations": locations, "response_headers": headers, "max_body_size": size,
                    },
                })
            },
        )
}

pub(crate) fn upstream() -> impl Strategy<Value = Value> {
    let address = prop_oneof![
        (any::<std::net::Ipv4Addr>(), 1..=u16::MAX)
            .prop_map(|(host, port)| format!("{host}:{port}")),
        (any::<std::net::Ipv6Addr>(), 1..=u16::MAX)
            .prop_map(|(host, port)| format!("[{host}]:{port}")),
        "[a-z]{1,9}([.][a-z]{1,9}){0,2}:[1-9][0-9]{0,3}",
        "unix:/[a-z/._-]{1,40}",
    ];
    let server = (
        address,
        maybe((0..=u16::MAX).prop_map(Value::from)),
        any::<[bool; 2]>(),
        maybe(time().prop_map(Value::from)),
    )
        .prop_map(|(address, number, [backup, down], time)| {
            json!({
                "address": address, "weight": number, "backup": backup, "down": down,
                "max_fails": number, "fail_timeout": time, "max_conns": number,
            })
        });
    let balance = prop_oneof![
        select(&["round_robin", "least_conn", "ip_hash", "random"][..])
            .prop_map(|name| json!(name)),
        (
            select(&["request_uri", "remote_addr", "host"][..]),
            any::<bool>()
        )
            .prop_map(
                |(key, consistent)| json!({ "hash": { "key": key, "consistent": consistent } })
            ),
    ];
    (
        metadata(),
        balance,
        maybe(any::<u32>().prop_map(Value::from)),
        prop::collection::vec(server, 0..4),
    )
        .prop_map(|(metadata, balance, keepalive, servers)| {
            json!({
                "kind": "Upstream",
                "metadata": metadata,
                "spec": { "balance": balance, "keepalive": keepalive, "servers": servers },
            })
        })
}

pub(crate) fn certificate() -> impl Strategy<Value = Value> {
    let pairs = [
        (sample::SHOP_CERTIFICATE, sample::SHOP_KEY),
        (sample::BLOG_CERTIFICATE, sample::BLOG_KEY),
    ];
    (metadata(), select(pairs.to_vec()), 1..=10_usize).prop_map(
        |(metadata, (chain, key), length)| {
            json!({
                "kind": "Certificate",
                "metadata": metadata,
                "spec": { "certificate": chain.repeat(length), "private_key": key },
            })
        },
    )
}

pub(crate) fn document() -> impl Strategy<Value = Value> {
    prop_oneof![virtual_host(), upstream(), certificate()]
}
