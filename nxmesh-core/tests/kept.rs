//! Nobody gets connections of an upstream that were made for others.

use nxmesh_core::{check::check, model::Resource, testkit::sample};
use serde_json::{Value, json};

fn upstream(name: &str, keepalive: Value) -> Resource {
    let servers = json!([{ "address": "10.0.0.1:443" }]);
    let spec = json!({ "servers": servers, "keepalive": keepalive });
    sample::resource(json!({ "kind": "Upstream", "metadata": { "name": name }, "spec": spec }))
}

/// A host whose locations, or other fields, ask upstreams.
fn host(name: &str, mut spec: Value) -> Resource {
    spec["server_names"] = json!([format!("{name}.example.com")]);
    sample::resource(json!({ "kind": "VirtualHost", "metadata": { "name": name }, "spec": spec }))
}

fn locations(actions: impl IntoIterator<Item = Value>) -> Value {
    let locations = actions.into_iter().enumerate().map(|(number, mut it)| {
        it["path"] = json!(format!("/{number}"));
        it
    });
    json!({ "locations": locations.collect::<Value>() })
}

fn https(tls: Value) -> Value {
    json!({ "proxy": { "upstream": "u", "scheme": "https", "tls": tls } })
}

/// Where something is wrong, and what.
fn problems(resources: impl IntoIterator<Item = Resource>) -> Vec<(String, String)> {
    let problems = check(resources.into_iter().collect()).err();
    let problems = problems.into_iter().flatten();
    let told = problems.map(|it| (format!("{}{}", it.document, it.pointer), it.rule));
    told.collect()
}

#[test]
fn who_asks_an_upstream_that_keeps_connections_asks_as_all_others_do() {
    let verified = |ca: &str| json!({ "server_name": "u.internal", "verify": { "file": ca } });
    let http = json!({ "proxy": { "upstream": "u" } });
    let secure = https(json!({ "server_name": "u.internal" }));
    let grpc = json!({ "grpc": { "upstream": "u" } });
    for (one, other) in [
        (https(verified("/a.pem")), https(verified("/b.pem"))),
        (https(verified("/a.pem")), secure.clone()),
        (secure.clone(), https(verified("/a.pem"))),
        (
            secure.clone(),
            https(json!({ "server_name": "v.internal" })),
        ),
        (
            secure.clone(),
            https(json!({ "server_name": "u.internal", "ciphers": "HIGH" })),
        ),
        (http.clone(), secure.clone()),
        (
            http.clone(),
            https(json!({ "verify": { "file": "/a.pem" }, "server_name": "a" })),
        ),
        (http.clone(), grpc.clone()),
        (
            grpc.clone(),
            json!({ "grpc": { "upstream": "u", "scheme": "https" } }),
        ),
        (
            http.clone(),
            json!({ "fastcgi": { "upstream": "u", "root": "/srv" } }),
        ),
        (
            http.clone(),
            json!({ "static": { "root": "/srv", "otherwise": { "proxy": { "upstream": "u", "scheme": "https" } } } }),
        ),
        (
            secure.clone(),
            json!({ "proxy": { "upstream": "v", "split": { "shares": [{ "upstream": "u", "percent": 5 }] } } }),
        ),
    ] {
        let found = |keepalive: Value| {
            let both = [&one, &other].map(Value::clone);
            let together = problems([
                host("a", locations(both.clone())),
                upstream("u", keepalive.clone()),
                upstream("v", Value::Null),
            ]);
            let [one, other] = both;
            let apart = problems([
                host("a", locations([one])),
                host("b", locations([other])),
                upstream("u", keepalive),
                upstream("v", Value::Null),
            ]);
            assert_eq!(together.len(), apart.len(), "{together:?} {apart:?}");
            apart
        };
        let refused = found(json!(8));
        let [(at, rule)] = &refused[..] else {
            panic!("{one} {other}: {refused:?}");
        };
        assert!(at.starts_with("VirtualHost/b/spec/locations/0/"), "{at}");
        assert!(at.ends_with("/upstream"), "{at}");
        for part in [
            "Upstream/u keeps",
            "VirtualHost/a",
            "another Upstream",
            "keepalive: 0",
        ] {
            assert!(rule.contains(part), "{rule}");
        }
        // Nothing is kept, or for one location by itself.
        assert_eq!(found(json!(0)), []);
        assert_eq!(found(Value::Null), []);
    }
}

#[test]
fn those_who_ask_alike_share_connections() {
    let tls = json!({ "server_name": "u.internal", "verify": { "file": "/a.pem" } });
    let spec = json!({
        "external_auth": { "service": { "upstream": "u", "path": "/", "scheme": "https", "tls": tls } },
        "mirror": { "to": { "upstream": "u", "scheme": "https", "tls": tls } },
        "error_pages": [{ "codes": [404], "send": { "upstream": { "upstream": "u", "path": "/", "scheme": "https", "tls": tls } } }],
    });
    let alike = [
        host("a", spec),
        host("b", locations([https(tls.clone()), https(tls)])),
        upstream("u", json!(8)),
    ];
    assert_eq!(problems(alike), []);
    // To say nothing of TLS is to say nothing in it.
    let unsaid = json!({ "proxy": { "upstream": "u", "scheme": "https" } });
    let alike = [
        host("b", locations([https(json!({})), unsaid])),
        upstream("u", json!(8)),
    ];
    assert_eq!(problems(alike), []);
}

#[test]
fn services_beside_the_upstream_ask_it_too() {
    let asked = |field: &str| match field {
        "external_auth" => json!({ field: { "service": { "upstream": "u", "path": "/" } } }),
        "mirror" => json!({ field: { "to": { "upstream": "u" } } }),
        "error_pages" => {
            json!({ field: [{ "codes": [404], "send": { "upstream": { "upstream": "u", "path": "/" } } }] })
        }
        other => json!({ other: { "upstream": "u" } }),
    };
    for field in ["external_auth", "mirror", "error_pages", "acme_challenge"] {
        let found = problems([
            host("a", locations([https(json!({}))])),
            host("b", asked(field)),
            upstream("u", json!(8)),
        ]);
        let [(at, _)] = &found[..] else {
            panic!("{field}: {found:?}");
        };
        assert!(
            at.starts_with(&format!("VirtualHost/b/spec/{field}/")),
            "{at}"
        );
    }
}

#[test]
fn a_connection_that_is_kept_was_verified_for_one_name() {
    let any = || {
        host(
            "a",
            locations([https(json!({ "verify": { "file": "/a.pem" } }))]),
        )
    };
    for keepalive in [json!(8), Value::Null] {
        let found = problems([any(), upstream("u", keepalive)]);
        let [(at, rule)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(at, "VirtualHost/a/spec/locations/0/proxy/upstream");
        assert!(
            rule.contains("say server_name, or keepalive: 0 in Upstream/u"),
            "{rule}"
        );
    }
    assert_eq!(problems([any(), upstream("u", json!(0))]), []);
}

#[test]
fn a_snippet_asks_nobody_knows_how() {
    let snippet = || {
        let directives = "location /s { proxy_pass https://u; }";
        let spec = json!({ "context": "server", "directives": directives, "upstreams": ["u"] });
        sample::resource(json!({ "kind": "Snippet", "metadata": { "name": "s" }, "spec": spec }))
    };
    let beside = |tls: Value| {
        problems([
            host("a", locations([https(tls)])),
            snippet(),
            upstream("u", json!(8)),
        ])
    };
    let found = beside(json!({ "server_name": "u", "verify": { "file": "/a.pem" } }));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(beside(json!({ "server_name": "u" })), []);
}
