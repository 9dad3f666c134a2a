//! Passing requests to a FastCGI server.

use nxmesh_core::model::Variable;
use serde_json::{Value, json};

use super::{Around, Plain, list, plain, retry};
use crate::import::{
    node::Node,
    scope::Scope,
    value::{Form, variable},
};

const PLAIN: [(&str, Form, &str); 8] = [
    ("fastcgi_index", Form::Word, "index"),
    ("fastcgi_split_path_info", Form::Word, "split_path_info"),
    ("fastcgi_connect_timeout", Form::Time, "timeouts/connect"),
    ("fastcgi_read_timeout", Form::Time, "timeouts/read"),
    ("fastcgi_send_timeout", Form::Time, "timeouts/send"),
    ("fastcgi_buffering", Form::Switch, "buffering"),
    (
        "fastcgi_request_buffering",
        Form::Switch,
        "request_buffering",
    ),
    ("fastcgi_keep_conn", Form::Switch, "keep_connections"),
];

/// All directives that the action says.
pub(super) const SAID: [&str; 15] = [
    "fastcgi_pass",
    "fastcgi_param",
    "root",
    "fastcgi_index",
    "fastcgi_split_path_info",
    "fastcgi_connect_timeout",
    "fastcgi_read_timeout",
    "fastcgi_send_timeout",
    "fastcgi_buffering",
    "fastcgi_request_buffering",
    "fastcgi_keep_conn",
    "fastcgi_next_upstream",
    "fastcgi_next_upstream_tries",
    "fastcgi_next_upstream_timeout",
    "fastcgi_hide_header",
];

/// Parameters that are always sent, whatever their values here.
const USUAL: [(&str, &str); 18] = [
    ("QUERY_STRING", "$query_string"),
    ("REQUEST_METHOD", "$request_method"),
    ("CONTENT_TYPE", "$content_type"),
    ("CONTENT_LENGTH", "$content_length"),
    ("SCRIPT_NAME", "$fastcgi_script_name"),
    ("REQUEST_URI", "$request_uri"),
    ("DOCUMENT_URI", "$document_uri"),
    ("DOCUMENT_ROOT", "$document_root"),
    ("SERVER_PROTOCOL", "$server_protocol"),
    ("REQUEST_SCHEME", "$scheme"),
    ("HTTPS", "$https"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("REMOTE_ADDR", "$remote_addr"),
    ("REMOTE_PORT", "$remote_port"),
    ("REMOTE_USER", "$remote_user"),
    ("SERVER_ADDR", "$server_addr"),
    ("SERVER_PORT", "$server_port"),
    ("SERVER_NAME", "$server_name"),
];

/// The `fastcgi` action of a block with the `fastcgi_pass` that is `pass`.
pub(super) fn read(scope: &Scope<'_>, pass: &Node, around: &mut Around<'_, '_>) -> Option<Value> {
    let [target] = &pass.arguments[..] else {
        return None;
    };
    if target.contains('$') {
        return None;
    }
    let upstream = around.upstreams.for_authority(target, false)?;
    let mut fastcgi = json!({ "upstream": upstream });
    if let Some(root) = scope.word("root") {
        fastcgi["root"] = json!(root);
    }
    let table: &Plain = &PLAIN;
    plain(scope, table, &mut fastcgi)?;
    let mut params = Vec::new();
    for node in scope.all("fastcgi_param") {
        let [name, value] = &node.arguments[..] else {
            // `if_not_empty` is said of HTTPS.
            if node.first() == "HTTPS" {
                continue;
            }
            return None;
        };
        match name.as_str() {
            "SCRIPT_FILENAME" => script(value, &mut fastcgi)?,
            "PATH_INFO" if value == "$fastcgi_path_info" => {}
            "SERVER_SOFTWARE" | "REDIRECT_STATUS" => {}
            _ if USUAL.contains(&(name, value)) => {}
            _ => params.push(param(name, value)?),
        }
    }
    if !params.is_empty() {
        fastcgi["params"] = json!(params);
    }
    let hidden = list(scope, "fastcgi_hide_header");
    if !hidden.is_empty() {
        fastcgi["hide_headers"] = json!(hidden);
    }
    let again = retry(scope, "fastcgi")?;
    if again != json!({}) {
        fastcgi["retry"] = again;
    }
    fastcgi.get("root")?;
    Some(fastcgi)
}

/// Which script is run.
fn script(value: &str, fastcgi: &mut Value) -> Option<()> {
    let rooted = ["$document_root", "$realpath_root"];
    let below = rooted.iter().find_map(|root| value.strip_prefix(root));
    let script = match below {
        Some(below) => below,
        None => {
            // A folder of its own, written out.
            let (root, script) = value.split_once('$')?;
            if script != "fastcgi_script_name" || !root.starts_with('/') {
                return None;
            }
            fastcgi["root"] = json!(root.trim_end_matches('/'));
            return Some(());
        }
    };
    if script == "$fastcgi_script_name" {
        return Some(());
    }
    let plain = script.starts_with('/') && !script.contains('$');
    plain.then(|| fastcgi["script"] = json!(script))
}

fn param(name: &str, value: &str) -> Option<Value> {
    if let Some(variable) = variable(value) {
        let known = serde_json::from_value::<Variable>(json!(variable)).is_ok();
        return known.then(|| json!({ "name": name, "variable": variable }));
    }
    (!value.contains('$')).then(|| json!({ "name": name, "value": value }))
}
