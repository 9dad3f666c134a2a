//! Directives that decide who gets in, or what is answered: without one of them a
//! server would give away what it did not before.

use nxmesh_core::model::ResourceKind;
use serde_json::{Value, json};

use super::{draft::Draft, node::Node, scope::Scope};

/// Whether a block must not serve without this directive.
pub(super) fn protects(name: &str) -> bool {
    const NAMES: [&str; 33] = [
        "alias",
        "allow",
        "break",
        "deny",
        "disable_symlinks",
        "empty_gif",
        "if",
        "internal",
        "js_content",
        "limit_conn",
        "limit_except",
        "limit_req",
        "location",
        "modsecurity",
        "modsecurity_rules",
        "modsecurity_rules_file",
        "perl",
        "return",
        "rewrite",
        "root",
        "satisfy",
        "secure_link",
        "secure_link_md5",
        "secure_link_secret",
        "set",
        "ssl_client_certificate",
        "ssl_crl",
        "ssl_verify_client",
        "stub_status",
        "try_files",
        "valid_referers",
        "grpc_ssl_trusted_certificate",
        "proxy_ssl_trusted_certificate",
    ];
    const PHASES: [&str; 5] = [
        "access_by_lua",
        "content_by_lua",
        "rewrite_by_lua",
        "server_rewrite_by_lua",
        "ssl_certificate_by_lua",
    ];
    NAMES.contains(&name)
        || name.starts_with("auth_")
        || name.ends_with("_pass")
        || PHASES.iter().any(|phase| name.starts_with(phase))
}

/// Whether somebody may be turned away after `return` would have answered: nginx looks at
/// these only then.
pub(super) fn guards(scope: &Scope<'_>) -> bool {
    const NAMES: [&str; 6] = [
        "allow",
        "deny",
        "auth_basic",
        "auth_request",
        "limit_req",
        "limit_conn",
    ];
    NAMES.iter().any(|name| scope.find(name).is_some())
}

/// Whether a block has several directives that nginx works through before all others,
/// one after the other, and one of them ends that.
pub(super) fn answers_in_turn(nodes: &[Node]) -> bool {
    const STEPS: [&str; 5] = ["break", "if", "return", "rewrite", "set"];
    let steps = nodes.iter().filter(|it| STEPS.contains(&it.name.as_str()));
    nodes.iter().any(|it| it.name == "return") && steps.count() > 1
}

/// The location with the path of `node`, where everybody is turned away; `None` if its
/// path is none that documents have.
pub(super) fn closed(node: &Node) -> Option<Value> {
    let mut location = path(node)?;
    location["respond"] = json!({ "status": 503 });
    let spec = json!({ "server_names": ["_"], "locations": [location] });
    let draft = Draft::new(ResourceKind::VirtualHost, "closed".to_owned(), spec);
    draft.is_sound().then_some(location)
}

/// The same as a directive.
pub(super) fn closed_block(node: &Node) -> Node {
    node.with_children(vec![node.beside("return", &["503"])])
}

/// A location that has only its path.
pub(super) fn path(node: &Node) -> Option<Value> {
    let (modifier, path) = match &node.arguments[..] {
        // nginx takes both in one word, `=/path`.
        [word] => {
            let glued = ["=", "^~", "~*", "~"].iter();
            let mut parts = glued.filter_map(|it| Some((*it, word.strip_prefix(it)?)));
            parts.next().unwrap_or(("", word.as_str()))
        }
        [modifier, path] => (modifier.as_str(), path.as_str()),
        _ => return None,
    };
    let kind = match modifier {
        "" => "prefix",
        "=" => "exact",
        "^~" => "prefix_priority",
        "~" => "regex",
        "~*" => "regex_ignore_case",
        _ => return None,
    };
    let mut location = json!({ "path": path });
    if kind != "prefix" {
        location["match"] = json!(kind);
    }
    Some(location)
}
