//! Passing gRPC requests to an upstream.

use serde_json::{Value, json};

use super::{Around, Plain, list, plain, request_headers, retry, upstream_tls};
use crate::import::{node::Node, scope::Scope, value::Form};

const PLAIN: [(&str, Form, &str); 5] = [
    ("grpc_connect_timeout", Form::Time, "timeouts/connect"),
    ("grpc_read_timeout", Form::Time, "timeouts/read"),
    ("grpc_send_timeout", Form::Time, "timeouts/send"),
    ("grpc_socket_keepalive", Form::Switch, "socket_keepalive"),
    ("grpc_buffer_size", Form::Word, "buffer"),
];

/// All directives that the action says.
pub(super) const SAID: [&str; 21] = [
    "grpc_pass",
    "grpc_set_header",
    "grpc_connect_timeout",
    "grpc_read_timeout",
    "grpc_send_timeout",
    "grpc_socket_keepalive",
    "grpc_buffer_size",
    "grpc_next_upstream",
    "grpc_next_upstream_tries",
    "grpc_next_upstream_timeout",
    "grpc_hide_header",
    "grpc_ssl_session_reuse",
    "grpc_ssl_server_name",
    "grpc_ssl_name",
    "grpc_ssl_verify",
    "grpc_ssl_verify_depth",
    "grpc_ssl_trusted_certificate",
    "grpc_ssl_protocols",
    "grpc_ssl_ciphers",
    "grpc_ssl_certificate",
    "grpc_ssl_certificate_key",
];

/// The `grpc` action of a block with the `grpc_pass` that is `pass`.
pub(super) fn read<'n>(
    scope: &Scope<'n>,
    pass: &Node,
    around: &mut Around<'_, '_>,
    beside: &mut Vec<&'n Node>,
) -> Option<Value> {
    let [target] = &pass.arguments[..] else {
        return None;
    };
    let (secure, authority) = match target.strip_prefix("grpcs://") {
        Some(rest) => (true, rest),
        None => (false, target.strip_prefix("grpc://").unwrap_or(target)),
    };
    if authority.contains('$') {
        return None;
    }
    // nginx gives its own errors to clients as errors of HTTP.
    let upstream = around.upstreams.for_authority(authority, secure)?;
    let mut grpc = json!({ "upstream": upstream, "http_errors": true });
    if secure {
        grpc["scheme"] = json!("https");
        grpc["tls"] = upstream_tls::read(scope, "grpc", authority, &mut around.keys)?;
    }
    request_headers(scope, "grpc_set_header", authority, &mut grpc, beside)?;
    let table: &Plain = &PLAIN;
    plain(scope, table, &mut grpc)?;
    let hidden = list(scope, "grpc_hide_header");
    if !hidden.is_empty() {
        grpc["hide_headers"] = json!(hidden);
    }
    let again = retry(scope, "grpc")?;
    if again != json!({}) {
        grpc["retry"] = again;
    }
    Some(grpc)
}
