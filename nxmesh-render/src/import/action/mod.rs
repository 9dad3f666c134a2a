//! What a location does with requests.

mod answer;
mod fastcgi;
mod files;
mod grpc;
mod proxy;
mod upstream_tls;

use serde_json::{Value, json};

use super::{node::Node, scope::Scope, upstream::Upstreams, value::Form};

pub(super) use answer::everything;
pub(super) use upstream_tls::{Keys, PROXY as UPSTREAM_TLS, read as upstream_tls};

/// What is needed beside the block.
pub(super) struct Around<'p, 'n> {
    /// The one path that the block is for.
    pub(super) path: Option<&'p str>,
    pub(super) upstreams: &'p mut Upstreams,
    pub(super) keys: Keys<'p, 'n>,
}

/// An action as documents have it.
pub(super) struct Action<'n> {
    pub(super) field: &'static str,
    pub(super) value: Value,
    /// The directives that it says.
    pub(super) said: Vec<&'static str>,
    /// Those of them that it cannot say, and that a Snippet beside it has to say: without
    /// them another request would reach the upstream.
    pub(super) beside: Vec<&'n Node>,
}

impl<'n> Action<'n> {
    pub(super) const fn new(field: &'static str, value: Value, said: Vec<&'static str>) -> Self {
        let beside = Vec::new();
        Self {
            field,
            value,
            said,
            beside,
        }
    }
}

/// The action of a location; `None` if no field says what it does.
pub(super) fn read<'n>(scope: &Scope<'n>, around: &mut Around<'_, '_>) -> Option<Action<'n>> {
    const OTHERS: [&str; 4] = ["memcached_pass", "scgi_pass", "uwsgi_pass", "stub_status"];
    let own = |name: &str| scope.own().iter().rfind(|node| node.name == name);
    if OTHERS.iter().any(|name| own(name).is_some()) {
        return None;
    }
    // What comes first in nginx counts.
    if let Some(node) = own("return") {
        let (field, value) = answer::returned(node, scope, around.path)?;
        let mut said = vec!["return", "default_type", "absolute_redirect"];
        if field == "respond" && own("types").is_some_and(|it| it.entries.is_empty()) {
            said.push("types");
        }
        return Some(Action::new(field, value, said));
    }
    if let Some(pass) = own("proxy_pass") {
        let mut action = Action::new("proxy", Value::Null, proxy::said());
        action.value = proxy::read(scope, pass, around, &mut action.beside)?;
        return Some(action);
    }
    if let Some(pass) = own("grpc_pass") {
        let mut action = Action::new("grpc", Value::Null, grpc::SAID.to_vec());
        action.value = grpc::read(scope, pass, around, &mut action.beside)?;
        return Some(action);
    }
    if let Some(pass) = own("fastcgi_pass") {
        let value = fastcgi::read(scope, pass, around)?;
        return Some(Action::new("fastcgi", value, fastcgi::SAID.to_vec()));
    }
    let mut beside = Vec::new();
    let (value, said) = files::read(scope, around, &mut beside)?;
    let field = "static";
    Some(Action {
        field,
        value,
        said,
        beside,
    })
}

/// Directives of one word that are a field each.
type Plain = [(&'static str, Form, &'static str)];

/// Sets the fields of the directives that a block has; `None` if one of them is
/// written in another form.
fn plain(scope: &Scope<'_>, table: &Plain, value: &mut Value) -> Option<()> {
    for (directive, form, field) in table {
        let own = scope.own().iter().rfind(|node| node.name == *directive);
        if let Some(node) = own {
            let read = form.read(node)?;
            let mut place = &mut *value;
            for part in field.split('/') {
                place = &mut place[part];
            }
            *place = read;
        }
    }
    Some(())
}

/// The first words of all directives of a name in a block.
fn list(scope: &Scope<'_>, name: &str) -> Vec<String> {
    let own = scope.own().iter().filter(|node| node.name == name);
    own.flat_map(|node| node.arguments.clone()).collect()
}

/// When another server is asked: `kind` is `proxy`, `grpc` or `fastcgi`.
fn retry(scope: &Scope<'_>, kind: &str) -> Option<Value> {
    let mut retry = json!({});
    let name = format!("{kind}_next_upstream");
    let own = |name: &str| scope.own().iter().rfind(|node| node.name == name);
    if let Some(node) = own(&name) {
        let cases = node.arguments.iter();
        let cases = cases.filter(|case| !matches!(case.as_str(), "non_idempotent" | "off"));
        retry["on"] = cases.map(|case| json!(case)).collect();
        if node.arguments.iter().any(|it| it == "non_idempotent") {
            retry["non_idempotent"] = json!(true);
        }
    }
    if let Some(node) = own(&format!("{name}_tries")) {
        retry["tries"] = Form::Number.read(node)?;
    }
    if let Some(node) = own(&format!("{name}_timeout")) {
        retry["timeout"] = Form::Time.read(node)?;
    }
    Some(retry)
}

/// Headers that say where a request came from, and that are sent to upstreams unless
/// something else is said.
const FORWARDED: [&str; 3] = ["X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto"];

/// Sets the headers of the request to the upstream, of directives called `name`; without
/// a `Host` among them nginx sends `authority`. Those with values that cannot be said
/// are left to `beside`; `None` if one of these is sent by us anyway.
fn request_headers<'n>(
    scope: &Scope<'n>,
    name: &str,
    authority: &str,
    action: &mut Value,
    beside: &mut Vec<&'n Node>,
) -> Option<()> {
    let mut headers = Vec::new();
    for node in scope.all(name) {
        let named = |name: &str| is(node.first(), name);
        if named("Upgrade") || named("Connection") {
            continue;
        }
        match request_header(node) {
            // It is nginx's default.
            _ if named("Host") && node.arguments.get(1).is_some_and(|it| it == "$proxy_host") => {}
            Some(header) => headers.push(header),
            None if named("Host") || named("Proxy") => return None,
            None => beside.push(node),
        }
    }
    let sets = |name: &str, headers: &[Value]| {
        let mut names = headers.iter().filter_map(|it| it["name"].as_str());
        names.any(|own| is(own, name))
    };
    if !sets("Host", &headers) {
        headers.push(json!({ "name": "Host", "value": authority }));
    }
    if !FORWARDED.iter().all(|name| sets(name, &headers)) {
        action["forwarded"] = json!({ "policy": "as_sent" });
    }
    action["request_headers"] = Value::Array(headers);
    Some(())
}

fn is(name: &str, header: &str) -> bool {
    name.eq_ignore_ascii_case(header)
}

/// A header of the request to the upstream; `None` if its value is made of
/// variables that cannot be named.
fn request_header(node: &Node) -> Option<Value> {
    let [name, value] = &node.arguments[..] else {
        return None;
    };
    if value.is_empty() {
        return Some(json!({ "name": name, "remove": true }));
    }
    if let Some(variable) = super::value::variable(value) {
        let header = json!({ "name": name, "variable": variable });
        let known = serde_json::from_value::<nxmesh_core::model::RequestHeader>(header.clone());
        return known.is_ok().then_some(header);
    }
    (!value.contains('$')).then(|| json!({ "name": name, "value": value }))
}
