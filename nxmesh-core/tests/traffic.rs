//! What is refused in traffic settings, policies and access lists, and where it is told.

use nxmesh_core::{
    check::{check, references_of},
    document::{Problem, parse_value},
    model::{Resource, ResourceKind, ResourceSet},
};
use serde_json::{Value, json};

fn read(kind: &str, name: &str, spec: Value) -> Result<Resource, Problem> {
    let document = json!({ "kind": kind, "metadata": { "name": name }, "spec": spec });
    parse_value("test", document)
}

fn host(settings: &Value) -> Result<Resource, Problem> {
    let mut spec = json!({ "server_names": ["shop.example.com"] });
    for (field, value) in settings.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    read("VirtualHost", "shop", spec)
}

/// The first problem of these resources, when read or when checked together.
fn problem(resources: Vec<Result<Resource, Problem>>) -> Problem {
    let mut set = ResourceSet::default();
    for resource in resources {
        match resource {
            Ok(resource) => drop(set.insert(resource)),
            Err(problem) => return problem,
        }
    }
    match check(set) {
        Ok(_) => panic!("nothing was refused"),
        Err(mut problems) => problems.remove(0),
    }
}

#[test]
fn settings_are_refused_at_their_field() {
    let limit = |limit: Value| json!({ "rate_limit": { "limits": [limit] } });
    let many = |count: usize| vec![json!({ "rate": "1r/s" }); count];
    for (settings, pointer, rule) in [
        (json!({ "access": {} }), "/access", "has rules or lists"),
        (
            json!({ "access": { "rules": [{ "allow": "10.0.0.1/8" }] } }),
            "/access/rules/0/allow",
            "without host bits",
        ),
        (
            json!({ "access": { "rules": [{ "allow": "all; } evil" }] } }),
            "/access/rules/0/allow",
            "clients are",
        ),
        (
            json!({ "access": { "rules": [{ "permit": "all" }] } }),
            "/access/rules/0",
            "allow",
        ),
        (
            json!({ "access": { "lists": ["office"] } }),
            "/access/lists/0",
            "AccessList/office is not in workspace",
        ),
        (
            json!({ "policies": ["base"] }),
            "/policies/0",
            "Policy/base is not in workspace",
        ),
        (
            json!({ "policies": vec!["base"; 21] }),
            "/policies",
            "at most 20",
        ),
        (
            json!({ "rate_limit": { "limits": many(1), "agents": 0 } }),
            "/rate_limit/agents",
            "1 to 1000 agents",
        ),
        (
            limit(json!({ "rate": "1r/s", "otherwise": true })),
            "/rate_limit/limits/0/otherwise",
            "beside limits with one",
        ),
        (
            limit(json!({ "rate": "1r/s", "when": {} })),
            "/rate_limit/limits/0/when",
            "for some requests",
        ),
        (
            limit(json!({ "rate": "1r/s", "when": { "headers": [{ "name": "X_A" }] } })),
            "/rate_limit/limits/0/when/headers/0/name",
            "letters, digits and '-' only",
        ),
        (
            limit(json!({ "rate": "1r/s", "when": {
                "variables": [{ "name": "proxy_add_x_forwarded_for" }],
            } })),
            "/rate_limit/limits/0/when/variables/0/name",
            "no condition",
        ),
        (
            json!({ "rate_limit": { "limits": [] } }),
            "/rate_limit/limits",
            "1 to 10",
        ),
        (
            json!({ "rate_limit": { "limits": many(11) } }),
            "/rate_limit/limits",
            "1 to 10",
        ),
        (
            limit(json!({ "rate": "0r/s" })),
            "/rate_limit/limits/0/rate",
            "a rate is",
        ),
        (
            limit(json!({ "rate": "10r/h" })),
            "/rate_limit/limits/0/rate",
            "a rate is",
        ),
        (
            limit(json!({ "rate": "+1r/s" })),
            "/rate_limit/limits/0/rate",
            "a rate is",
        ),
        (
            limit(json!({ "rate": "1r/s", "burst": 100_001 })),
            "/rate_limit/limits/0/burst",
            "at most 100000",
        ),
        (
            limit(json!({ "rate": "1r/s", "without_delay": 1 })),
            "/rate_limit/limits/0/without_delay",
            "at most the burst",
        ),
        (
            limit(json!({ "rate": "1r/s", "zone_size": "1k" })),
            "/rate_limit/limits/0/zone_size",
            "32k to 1g",
        ),
        (
            limit(json!({ "rate": "1r/s", "key": { "header": "X$y" } })),
            "/rate_limit/limits/0/key/header",
            "a header name",
        ),
        (
            limit(json!({ "rate": "1r/s", "key": { "header": "X!y" } })),
            "/rate_limit/limits/0/key",
            "letters, digits and '-'",
        ),
        (
            json!({ "cache": { "rules": { "inactive": "1500ms" } } }),
            "/cache/rules/inactive",
            "whole seconds",
        ),
        (
            json!({ "cache": { "rules": { "valid": [{ "time": "1500ms" }] } } }),
            "/cache/rules/valid/0/time",
            "whole seconds",
        ),
        (
            json!({ "rate_limit": { "limits": many(1), "status": 200 } }),
            "/rate_limit/status",
            "400 to 599",
        ),
        (
            json!({ "connection_limit": { "limits": [{ "connections": 0 }] } }),
            "/connection_limit/limits/0/connections",
            "1 to 65535",
        ),
        (
            json!({ "bandwidth": { "rate": 0 } }),
            "/bandwidth/rate",
            "at least 1 byte",
        ),
        (json!({ "gzip": { "level": 10 } }), "/gzip/level", "1 to 9"),
        (
            json!({ "gzip": { "types": ["text/html; charset=x"] } }),
            "/gzip/types/0",
            "no parameters",
        ),
        (
            json!({ "gzip": { "types": ["x"] } }),
            "/gzip/types/0",
            "a content type",
        ),
        (
            json!({ "gzip": { "brotli": true } }),
            "/gzip/brotli",
            "no such field",
        ),
    ] {
        let found = problem(vec![host(&settings)]);
        assert_eq!(
            found.pointer,
            format!("/spec{pointer}"),
            "{settings}: {found}"
        );
        assert!(found.rule.contains(rule), "{settings}: {found}");
        // The same holds in a location, at its place.
        let mut location = settings.clone();
        location["path"] = json!("/");
        location["respond"] = json!({ "status": 200 });
        let found = problem(vec![host(&json!({ "locations": [location] }))]);
        assert_eq!(
            found.pointer,
            format!("/spec/locations/0{pointer}"),
            "{settings}: {found}"
        );
    }
}

#[test]
fn policies_and_lists_have_rules_of_their_own() {
    let snippet = |context: &str| {
        let spec = json!({ "context": context, "directives": "etag off;" });
        read("Snippet", "raw", spec)
    };
    for (resources, document, pointer) in [
        (
            vec![
                read("Policy", "a", json!({ "policies": ["b"] })),
                read("Policy", "b", json!({})),
            ],
            "Policy/a",
            "/spec/policies",
        ),
        (
            vec![
                read("Policy", "a", json!({ "snippets": ["raw"] })),
                snippet("server"),
            ],
            "Policy/a",
            "/spec/snippets",
        ),
        (
            vec![read(
                "Policy",
                "a",
                json!({ "access": { "lists": ["no"] } }),
            )],
            "Policy/a",
            "/spec/access/lists/0",
        ),
        (
            vec![read("AccessList", "a", json!({ "rules": [] }))],
            "AccessList/a",
            "/spec/rules",
        ),
        (
            vec![host(&json!({ "snippets": ["raw"] })), snippet("location")],
            "VirtualHost/shop",
            "/spec/snippets/0",
        ),
        (
            vec![host(&json!({ "snippets": ["raw"] })), snippet("main")],
            "Snippet/raw",
            "/spec/directives",
        ),
        (
            vec![read(
                "Snippet",
                "a",
                json!({ "context": "server", "directives": "root /etc;" }),
            )],
            "Snippet/a",
            "/spec/directives",
        ),
        (
            vec![read(
                "Snippet",
                "a",
                json!({ "context": "server", "directives": "etag off; }" }),
            )],
            "test (Snippet/a)",
            "/spec/directives",
        ),
        (
            vec![read(
                "Snippet",
                "a",
                json!({ "context": "server", "selector": "env=x", "directives": "etag off;" }),
            )],
            "Snippet/a",
            "/spec/selector",
        ),
    ] {
        let found = problem(resources);
        assert_eq!(
            (&*found.document, &*found.pointer),
            (document, pointer),
            "{found}"
        );
    }
}

#[test]
fn answers_logs_and_caches_are_refused_at_their_field() {
    let many = |count: usize, item: Value| Value::from(vec![item; count]);
    for (settings, pointer) in [
        (json!({ "block": {} }), "/block"),
        (
            json!({ "block": { "user_agents": ["("] } }),
            "/block/user_agents/0",
        ),
        (
            json!({ "block": { "networks": ["10.0.0.1/8"] } }),
            "/block/networks/0",
        ),
        (
            json!({ "block": { "networks": ["10.0.0.0/8"], "status": 302 } }),
            "/block/status",
        ),
        (
            json!({ "maintenance": { "retry_after": "soon" } }),
            "/maintenance/retry_after",
        ),
        (json!({ "cors": { "origins": [] } }), "/cors/origins"),
        (
            json!({ "access_log": { "to": { "file": "/a.log", "escape": "json" } } }),
            "/access_log/to/escape",
        ),
        (
            json!({ "cors": { "origins": ["*", "https://a.example"] } }),
            "/cors/origins",
        ),
        (
            json!({ "cors": { "origins": ["*"], "credentials": true } }),
            "/cors/credentials",
        ),
        (
            json!({ "cors": { "origins": ["https://a.example/path"] } }),
            "/cors/origins/0",
        ),
        (
            json!({ "cors": { "origins": ["*"], "methods": ["put"] } }),
            "/cors/methods/0",
        ),
        (
            json!({ "error_pages": [{ "codes": [], "send": { "upstream": { "upstream": "a", "path": "/" } } }] }),
            "/error_pages/0/codes",
        ),
        (
            json!({ "error_pages": [{ "codes": [200], "send": { "redirect": "https://a/" } }] }),
            "/error_pages/0/codes/0",
        ),
        (
            json!({ "error_pages": [{ "codes": [404, 404], "send": { "redirect": "https://a/" } }] }),
            "/error_pages/0/codes/1",
        ),
        (
            json!({ "external_auth": { "service": { "upstream": "a", "path": "//evil" } } }),
            "/external_auth/service/path",
        ),
        (
            json!({ "external_auth": { "service": { "upstream": "a", "path": "/", "copy_headers": ["X_User"] } } }),
            "/external_auth/service/copy_headers/0",
        ),
        (
            json!({ "external_auth": { "service": { "upstream": "a", "path": "/" } } }),
            "/external_auth/service/upstream",
        ),
        (
            json!({ "external_auth": { "service": { "upstream": "a", "path": "/", "tls": {} } } }),
            "/external_auth/service/tls",
        ),
        (
            json!({ "external_auth": { "service": { "upstream": "a", "path": "/", "scheme": "https", "tls": { "depth": 2 } } } }),
            "/external_auth/service/tls/depth",
        ),
        (
            json!({ "basic_auth": { "users": { "list": [] } } }),
            "/basic_auth/users/list",
        ),
        (
            json!({ "basic_auth": { "users": { "realm": "off", "list": [] } } }),
            "/basic_auth/users/realm",
        ),
        (
            json!({ "basic_auth": { "users": { "list": [{ "name": "a:b", "password_hash": "x" }] } } }),
            "/basic_auth/users/list/0/name",
        ),
        (
            json!({ "basic_auth": { "users": { "list": [{ "name": "a", "password_hash": "secret" }] } } }),
            "/basic_auth/users/list/0/password_hash",
        ),
        (
            json!({ "api_keys": { "required": { "from": { "header": "X-Key" }, "list": [{ "name": "a", "secret": "***" }] } } }),
            "/api_keys/required/list/0/secret",
        ),
        (
            json!({ "api_keys": { "required": { "from": { "query": "a-b" }, "list": [] } } }),
            "/api_keys/required/from/query",
        ),
        (
            json!({ "mirror": { "to": { "upstream": "a", "percent": "0%" } } }),
            "/mirror/to/percent",
        ),
        (
            json!({ "mirror": { "to": { "upstream": "a" } } }),
            "/mirror/to/upstream",
        ),
        (
            json!({ "mirror": { "to": { "upstream": "a", "tls": {} } } }),
            "/mirror/to/tls",
        ),
        (
            json!({ "error_pages": [{ "codes": [404], "send": { "upstream": { "upstream": "a", "path": "/", "tls": {} } } }] }),
            "/error_pages/0/send/upstream/tls",
        ),
        (json!({ "real_ip": { "trusted": [] } }), "/real_ip/trusted"),
        (json!({ "access_log": { "to": {} } }), "/access_log/to"),
        (
            json!({ "access_log": { "to": { "file": "/a", "syslog": "b:1" } } }),
            "/access_log/to",
        ),
        (
            json!({ "access_log": { "to": { "file": "relative" } } }),
            "/access_log/to/file",
        ),
        (
            json!({ "access_log": { "to": { "file": "/a", "format": { "custom": "{secret}" } } } }),
            "/access_log/to/format/custom",
        ),
        (
            json!({ "access_log": { "to": { "file": "/a", "skip": { "statuses": [99] } } } }),
            "/access_log/to/skip/statuses/0",
        ),
        (json!({ "error_log": {} }), "/error_log"),
        (
            json!({ "error_log": { "file": "/a", "level": "loud" } }),
            "/error_log/level",
        ),
        (
            json!({ "cache": { "rules": { "max_size": "1k" } } }),
            "/cache/rules/max_size",
        ),
        (
            json!({ "cache": { "rules": { "zone_size": "1k" } } }),
            "/cache/rules/zone_size",
        ),
        (
            json!({ "cache": { "rules": { "min_uses": 0 } } }),
            "/cache/rules/min_uses",
        ),
        (
            json!({ "cache": { "rules": { "methods": ["PUT"] } } }),
            "/cache/rules/methods/0",
        ),
        (
            json!({ "cache": { "rules": { "background_update": true } } }),
            "/cache/rules/background_update",
        ),
        (
            json!({ "cache": { "rules": { "ignore_headers": ["X-Own"] } } }),
            "/cache/rules/ignore_headers/0",
        ),
        (
            json!({ "cache": { "rules": { "key": [{ "cookie": "a-b" }] } } }),
            "/cache/rules/key/0/cookie",
        ),
        (
            json!({ "cache": { "rules": { "key": many(11, json!({ "cookie": "a" })) } } }),
            "/cache/rules/key",
        ),
    ] {
        let found = problem(vec![host(&settings)]);
        assert_eq!(
            found.pointer,
            format!("/spec{pointer}"),
            "{settings}: {}",
            found.rule
        );
    }
    let location = json!([{ "path": "/", "respond": { "status": 200 }, "real_ip": { "trusted": ["10.0.0.0/8"] } }]);
    let found = problem(vec![host(&json!({ "locations": location }))]);
    assert_eq!(found.pointer, "/spec/locations/0/real_ip");
}

/// nginx would send two.
#[test]
fn headers_that_something_else_says_are_refused() {
    let named = |name: &str| json!([{ "name": name, "value": "own" }]);
    for (name, field) in [
        ("content-type", "content_type"),
        ("Server", "server_tokens"),
        ("Date", "pass_headers"),
        ("Accept-Ranges", "parts"),
    ] {
        let found = problem(vec![host(&json!({ "response_headers": named(name) }))]);
        assert_eq!(found.pointer, "/spec/response_headers/0/name");
        assert!(found.rule.contains(field), "{name}: {}", found.rule);
        let spec = json!({ "response_headers": named(name) });
        let found = problem(vec![read("Policy", "careful", spec)]);
        assert_eq!(found.pointer, "/spec/response_headers/0/name");
    }
    let origin = "Access-Control-Allow-Origin";
    let cors = json!({ "origins": ["https://app.example.com"] });
    let respond =
        json!({ "path": "/", "respond": { "status": 200 }, "response_headers": named(origin) });
    let redirect =
        json!({ "path": "/", "redirect": { "to": "/a" }, "response_headers": named("Location") });
    for (settings, pointer) in [
        (
            json!({ "cors": cors, "response_headers": named(origin) }),
            "/spec/response_headers/0/name",
        ),
        (
            json!({ "cors": cors, "locations": [respond] }),
            "/spec/locations/0/response_headers/0/name",
        ),
        (
            json!({ "locations": [redirect] }),
            "/spec/locations/0/response_headers/0/name",
        ),
    ] {
        assert_eq!(
            problem(vec![host(&settings)]).pointer,
            pointer,
            "{settings}"
        );
    }
    let created =
        json!({ "path": "/", "respond": { "status": 201 }, "response_headers": named("Location") });
    let fine = host(&json!({ "locations": [created, {
        "path": "/open", "respond": { "status": 200 }, "response_headers": named(origin),
    }] }));
    let set = ResourceSet::from_iter([fine.expect("a host")]);
    assert!(check(set).is_ok());
}

#[test]
fn certificates_of_services_beside_the_upstream_are_referred_to() {
    let asked = |verify: &str, shown: &str| {
        json!({
            "upstream": "a", "path": "/", "scheme": "https",
            "tls": { "verify": { "certificate": verify }, "certificate": shown },
        })
    };
    let mut copies = asked("c", "d");
    copies.as_object_mut().expect("an object").remove("path");
    let resource = host(&json!({
        "external_auth": { "service": asked("a", "b") },
        "mirror": { "to": copies },
        "error_pages": [{ "codes": [404], "send": { "upstream": asked("e", "f") } }],
    }));
    let found: Vec<String> = references_of(&resource.expect("a host"))
        .into_iter()
        .filter(|(_, target)| target.kind == ResourceKind::Certificate)
        .map(|(pointer, target)| format!("{pointer} {}", target.name))
        .collect();
    assert_eq!(
        found,
        [
            "/spec/external_auth/service/tls/verify/certificate a",
            "/spec/external_auth/service/tls/certificate b",
            "/spec/mirror/to/tls/verify/certificate c",
            "/spec/mirror/to/tls/certificate d",
            "/spec/error_pages/0/send/upstream/tls/verify/certificate e",
            "/spec/error_pages/0/send/upstream/tls/certificate f",
        ]
    );
}

#[test]
fn what_only_a_host_says_is_refused_at_its_field() {
    let secure = |tls: Value| json!({ "listen": [{ "port": 443, "tls": true }], "tls": tls });
    for (settings, pointer) in [
        (
            json!({ "listen": [{ "port": 80, "backlog": 0 }] }),
            "/listen/0/backlog",
        ),
        (
            json!({ "redirect_names": ["*.example.com"] }),
            "/redirect_names/0",
        ),
        (
            json!({ "redirect_names": ["shop.example.com"] }),
            "/redirect_names/0",
        ),
        (
            json!({ "server_names": ["*.example.com"], "redirect_names": ["a.example"] }),
            "/redirect_names",
        ),
        (json!({ "health": "healthz" }), "/health"),
        (
            json!({ "health": "/h", "locations": [{ "path": "/h", "match": "exact", "respond": { "status": 200 } }] }),
            "/health",
        ),
        (
            json!({ "acme_challenge": { "root": "here" } }),
            "/acme_challenge/root",
        ),
        (
            json!({ "acme_challenge": { "upstream": "gone" } }),
            "/acme_challenge/upstream",
        ),
        (
            json!({ "client": { "header_buffer": "1" } }),
            "/client/header_buffer",
        ),
        (
            json!({ "client": { "large_headers": { "number": 0, "size": "8k" } } }),
            "/client/large_headers/number",
        ),
        (
            json!({ "client": { "keepalive": { "requests": 0 } } }),
            "/client/keepalive/requests",
        ),
        (json!({ "server_tokens": "off" }), "/server_tokens"),
        (
            json!({ "behind_tls_proxy": { "redirect_code_other_methods": 307 } }),
            "/behind_tls_proxy/redirect_code_other_methods",
        ),
        (
            secure(json!({ "certificate": "a", "redirect_code_other_methods": 307 })),
            "/tls/redirect_code_other_methods",
        ),
        (
            secure(json!({ "certificate": "a", "dh_parameters": "dh.pem" })),
            "/tls/dh_parameters",
        ),
        (
            json!({ "behind_tls_proxy": { "redirect_code": 200 } }),
            "/behind_tls_proxy/redirect_code",
        ),
        (
            secure(json!({ "certificate": "a", "curves": "a; b" })),
            "/tls/curves",
        ),
        (
            secure(json!({ "certificate": "a", "buffer_size": "1m" })),
            "/tls/buffer_size",
        ),
        (
            secure(json!({ "certificate": "a", "redirect_code": 301 })),
            "/tls/redirect_code",
        ),
        (
            secure(json!({ "certificate": "a", "session": { "cache": "1k" } })),
            "/tls/session/cache",
        ),
        (
            secure(
                json!({ "certificate": "a", "client": { "trusted": { "file": "/a" }, "depth": 0 } }),
            ),
            "/tls/client/depth",
        ),
        (
            secure(json!({ "certificate": "a", "protocols": ["SSLv3"] })),
            "/tls/protocols/0",
        ),
        (
            secure(json!({ "certificate": "a", "more_certificates": ["b"] })),
            "/tls/certificate",
        ),
    ] {
        let found = problem(vec![host(&settings)]);
        assert_eq!(
            found.pointer,
            format!("/spec{pointer}"),
            "{settings}: {}",
            found.rule
        );
    }
}
