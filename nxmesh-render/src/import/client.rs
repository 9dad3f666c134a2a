//! Settings of connections, which only a server has.

use serde_json::json;

use super::{
    draft::Fields,
    node::Node,
    scope::Scope,
    value::{Form, time},
};

/// Settings of connections and of nginx itself, which only a server has.
const CLIENT: [(&str, Form, &str); 11] = [
    ("client_header_timeout", Form::Time, "client/header_timeout"),
    (
        "client_header_buffer_size",
        Form::Word,
        "client/header_buffer",
    ),
    (
        "ignore_invalid_headers",
        Form::Switch,
        "client/ignore_invalid_headers",
    ),
    (
        "underscores_in_headers",
        Form::Switch,
        "client/underscores_in_headers",
    ),
    ("client_body_timeout", Form::Time, "client/body_timeout"),
    ("client_body_buffer_size", Form::Word, "client/body_buffer"),
    ("send_timeout", Form::Time, "client/send_timeout"),
    (
        "keepalive_requests",
        Form::Number,
        "client/keepalive/requests",
    ),
    ("keepalive_time", Form::Time, "client/keepalive/time"),
    ("merge_slashes", Form::Switch, "client/merge_slashes"),
    (
        "reset_timedout_connection",
        Form::Switch,
        "client/reset_timed_out",
    ),
];

/// Sets the field for a directive, if there is one.
pub(super) fn set(node: &Node, fields: &mut Fields<'_>) -> bool {
    let name = node.name.as_str();
    if let Some((_, form, field)) = CLIENT.iter().find(|(directive, ..)| *directive == name) {
        return form
            .read(node)
            .is_some_and(|value| fields.set(field, value));
    }
    match (name, &node.arguments[..]) {
        ("keepalive_timeout", [timeout]) => {
            fields.set("client/keepalive/timeout", json!(time(timeout)))
        }
        ("large_client_header_buffers", [number, size]) => {
            number.parse::<u64>().is_ok_and(|number| {
                let large = json!({ "number": number, "size": size });
                fields.set("client/large_headers", large)
            })
        }
        ("server_tokens", [word]) => {
            let tokens = match word.as_str() {
                "on" => "version",
                "off" => "name",
                other => other,
            };
            fields.set("server_tokens", json!(tokens))
        }
        _ => false,
    }
}

/// Where the client's address comes from.
pub(super) fn real_ip(scope: &Scope<'_>, fields: &mut Fields<'_>) -> Vec<&'static str> {
    const NAMES: [&str; 3] = ["set_real_ip_from", "real_ip_header", "real_ip_recursive"];
    if !NAMES.iter().any(|name| scope.has(name)) {
        return Vec::new();
    }
    let trusted = scope.all("set_real_ip_from");
    let trusted: Vec<&str> = trusted.iter().map(|node| node.first()).collect();
    // nginx's default is X-Real-IP.
    let from = match scope.word("real_ip_header").unwrap_or("X-Real-IP") {
        header if header.eq_ignore_ascii_case("X-Real-IP") => json!("x_real_ip"),
        header if header.eq_ignore_ascii_case("X-Forwarded-For") => json!("x_forwarded_for"),
        "proxy_protocol" => json!("proxy_protocol"),
        header => json!({ "header": header }),
    };
    let recursive = scope.on("real_ip_recursive");
    let field = json!({ "trusted": trusted, "from": from, "recursive": recursive });
    if fields.set("real_ip", field) {
        NAMES.to_vec()
    } else {
        Vec::new()
    }
}
