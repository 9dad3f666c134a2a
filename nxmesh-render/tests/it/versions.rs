//! What depends on the version of nginx, and what no nginx can do.

use nxmesh_core::{
    contract::renderer::{RenderError, RenderSettings, Renderer as _},
    document::parse_value,
    model::{Resource, ResourceKey, ResourceSet},
    testkit::sample,
};
use nxmesh_render::{HandlebarsRenderer, older_forms};
use serde_json::{Value, json};

fn resource(document: Value) -> Resource {
    parse_value("test", document).unwrap_or_else(|problem| panic!("{problem}"))
}

fn host(spec: Value) -> Resource {
    resource(json!({ "kind": "VirtualHost", "metadata": { "name": "shop" }, "spec": spec }))
}

fn render(
    nginx: &str,
    resources: impl IntoIterator<Item = Resource>,
) -> Result<String, RenderError> {
    let settings = RenderSettings {
        nginx: nginx.parse().expect("a version"),
        ..RenderSettings::default()
    };
    let set: ResourceSet = resources.into_iter().collect();
    let tree = HandlebarsRenderer::new().render(&set, &settings)?;
    let texts = tree
        .files()
        .map(|(_, file)| String::from_utf8_lossy(&file.contents).into_owned());
    Ok(texts.collect())
}

fn secure(nginx: &str) -> String {
    let listen = json!([
        { "port": 80 }, { "port": 443, "tls": true, "http2": true }, { "port": 444, "tls": true },
    ]);
    let spec = json!({ "server_names": ["a"], "listen": listen, "tls": { "certificate": "shop" } });
    render(nginx, [host(spec), sample::certificate("shop").into()]).expect("render")
}

#[test]
fn http2_is_a_parameter_before_and_a_directive_from_1_25_1() {
    for old in ["1.18.0", "1.22.1", "1.25.0"] {
        let text = secure(old);
        assert!(text.contains("listen 443 ssl http2;"), "{text}");
        assert!(text.contains("listen 444 ssl;"), "{text}");
        assert!(!text.contains("http2 on"), "{text}");
        assert_eq!(text.matches("server {").count(), 1, "{text}");
    }
    for new in ["1.25.1", "1.28.0", "2.0.0"] {
        let text = secure(new);
        assert!(text.contains("listen 443 ssl;"), "{text}");
        let servers: Vec<_> = text.split("server {").skip(1).collect();
        let [without, with] = &servers[..] else {
            panic!("ports with and without HTTP/2 share a server: {text}");
        };
        assert!(
            without.contains("listen 80;") && without.contains("listen 444 ssl;"),
            "{text}"
        );
        assert!(
            !without.contains("http2") && with.contains("http2 on;"),
            "{text}"
        );
    }
}

#[test]
fn what_an_old_nginx_lacks_is_refused() {
    let upstream = |spec| {
        resource(json!({ "kind": "Upstream", "metadata": { "name": "shop" }, "spec": spec }))
    };
    let servers = json!([{ "address": "10.0.0.1:80" }]);
    let respond = json!({ "path": "/", "respond": { "status": 200 } });
    for (needs, feature, resource) in [
        (
            "1.15.1",
            "random",
            upstream(json!({ "balance": "random", "servers": servers })),
        ),
        (
            "1.11.5",
            "max_conns",
            upstream(json!({ "servers": [{ "address": "10.0.0.1:80", "max_conns": 3 }] })),
        ),
        (
            "1.13.0",
            "TLS 1.3",
            host(json!({
                "server_names": ["a"], "listen": [{ "port": 443, "tls": true }],
                "tls": { "certificate": "shop" }, "locations": [respond],
            })),
        ),
        (
            "1.11.8",
            "redirect",
            host(
                json!({ "server_names": ["a"], "locations": [{ "path": "/", "redirect": { "to": "/b" } }] }),
            ),
        ),
        (
            "1.11.0",
            "request_id",
            host(json!({
                "server_names": ["a"],
                "locations": [{ "path": "/", "proxy": {
                    "upstream": "other", "request_headers": [{ "name": "X-Id", "variable": "request_id" }],
                } }],
            })),
        ),
    ] {
        let all = || {
            [
                resource.clone(),
                sample::certificate("shop").into(),
                sample::upstream("other").into(),
            ]
        };
        render(needs, all()).unwrap();
        match render("1.10.3", all()) {
            Err(RenderError::Unsupported {
                resource: key,
                feature: named,
                needs: first,
                has,
            }) => {
                assert_eq!(key, resource.key());
                assert!(named.contains(feature), "{named}");
                assert_eq!(
                    (first.to_string(), has.to_string()),
                    (needs.to_owned(), "1.10.3".to_owned())
                );
            }
            other => panic!("{feature}: {other:?}"),
        }
    }
}

#[test]
fn tls_without_a_certificate_is_refused() {
    let listen = json!([{ "port": 443, "tls": true }]);
    let unchecked = host(json!({ "server_names": ["a"], "listen": listen }));
    let error = render("1.22.1", [unchecked]).unwrap_err();
    assert!(matches!(error, RenderError::Unrenderable { .. }), "{error}");
}

#[test]
fn a_file_has_a_bound() {
    let header = |number| json!({ "name": format!("X-{number}"), "value": "x".repeat(1000) });
    let location = |number| json!({ "path": format!("/{number}"), "respond": { "status": 200 }, "response_headers": [header(0)] });
    let spec = |headers: u32, locations: u32| {
        host(json!({
            "server_names": ["a"],
            "response_headers": (0..headers).map(header).collect::<Vec<_>>(),
            "locations": (0..locations).map(location).collect::<Vec<_>>(),
        }))
    };
    render("1.22.1", [spec(100, 100)]).unwrap();
    let key: ResourceKey = "VirtualHost/shop".parse().unwrap();
    for large in [spec(200, 200), spec(400, 400)] {
        match render("1.22.1", [large]) {
            Err(RenderError::Unrenderable { resource, .. }) => assert_eq!(resource, key),
            other => panic!("{:?}", other.map(|text| text.len())),
        }
    }
}

#[test]
fn an_agent_may_be_stricter_with_snippets_than_its_master() {
    let snippet = resource(json!({
        "kind": "Snippet", "metadata": { "name": "raw" },
        "spec": { "context": "server", "directives": "gzip on;" }
    }));
    let host = host(json!({ "server_names": ["a"], "snippets": ["raw"] }));
    let set: ResourceSet = [snippet, host].into_iter().collect();
    let policy = serde_json::from_value(json!({ "deny": ["gzip"] })).expect("a policy");
    let strict = RenderSettings {
        snippets: std::sync::Arc::new(policy),
        ..RenderSettings::default()
    };
    let renderer = HandlebarsRenderer::new();
    assert!(renderer.render(&set, &RenderSettings::default()).is_ok());
    match renderer.render(&set, &strict) {
        Err(RenderError::Unrenderable { resource, reason }) => {
            assert_eq!(resource.to_string(), "VirtualHost/shop");
            assert!(reason.contains("Snippet/raw"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

/// What hosts of one port do not have for themselves is told, whatever they say.
#[test]
fn what_nginx_takes_from_the_default_server_of_a_port_is_told() {
    let host = |name: &str, listen: Value, tls: Value| {
        let mut tls = tls;
        tls["certificate"] = json!("shop");
        let mut listen = listen;
        listen["port"] = json!(443);
        listen["tls"] = json!(true);
        let spec =
            json!({ "server_names": [format!("{name}.example")], "listen": [listen], "tls": tls });
        resource(json!({ "kind": "VirtualHost", "metadata": { "name": name }, "spec": spec }))
    };
    let notes = |nginx: &str, hosts: Vec<Resource>| -> Vec<String> {
        let settings = RenderSettings {
            nginx: nginx.parse().expect("a version"),
            ..RenderSettings::default()
        };
        let forms = older_forms(&hosts.into_iter().collect(), &settings);
        forms
            .iter()
            .map(|it| format!("{}: {}", it.resource.name, it.note))
            .collect()
    };
    let old = json!({ "policy": "old" });
    let pair = || {
        vec![
            host("a", json!({}), json!({})),
            host("b", json!({}), old.clone()),
        ]
    };
    let told = notes("1.28.3", pair());
    let [note] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(note.starts_with("b: nginx 1.28.3 takes the versions of TLS of port 443 of its default server, VirtualHost/a"), "{note}");
    assert!(notes("1.29.2", pair()).is_empty());
    // The one that says so is the default server.
    let said = vec![
        host("a", json!({}), json!({})),
        host("b", json!({ "default_server": true }), old.clone()),
    ];
    let told = notes("1.28.3", said);
    assert!(told.len() == 1 && told[0].starts_with("a: "), "{told:?}");
    let alike = vec![
        host("a", json!({}), old.clone()),
        host("b", json!({}), old.clone()),
    ];
    assert!(notes("1.18.0", alike).is_empty());
    let elsewhere = vec![
        host("a", json!({}), json!({})),
        host("b", json!({ "address": "10.0.0.1" }), old),
    ];
    assert!(notes("1.18.0", elsewhere).is_empty());
    let more = json!({ "curves": "X25519", "early_data": true });
    let told = notes(
        "1.29.2",
        vec![host("a", json!({}), json!({})), host("b", json!({}), more)],
    );
    assert!(
        told.len() == 1 && told[0].contains("says of curves, early_data for port 443"),
        "{told:?}"
    );
    let http2 = || {
        vec![
            host("a", json!({ "http2": true }), json!({})),
            host("b", json!({}), json!({})),
        ]
    };
    let told = notes("1.25.0", http2());
    assert!(
        told.len() == 1
            && told[0].contains("offers HTTP/2 to all hosts of port 443, as VirtualHost/a"),
        "{told:?}"
    );
    assert!(notes("1.25.1", http2()).is_empty());
}

#[test]
fn no_connections_are_kept_where_that_is_said() {
    let text = |nginx: &str, keepalive: Value| {
        let servers = json!([{ "address": "10.0.0.1:80" }]);
        let spec = json!({ "servers": servers, "keepalive": keepalive });
        let upstream = json!({ "kind": "Upstream", "metadata": { "name": "shop" }, "spec": spec });
        render(nginx, [resource(upstream)]).expect("rendered")
    };
    for (nginx, keepalive, said) in [
        ("1.22.1", json!(0), None),
        ("1.29.6", json!(0), None),
        ("1.29.7", json!(0), Some("keepalive 0;")),
        ("1.29.7", Value::Null, None),
        ("1.29.7", json!(8), Some("keepalive 8;")),
    ] {
        let text = text(nginx, keepalive);
        let line = text.lines().find(|line| line.contains("keepalive"));
        assert_eq!(line.map(str::trim), said, "{nginx}");
    }
}

#[test]
fn affinity_takes_the_form_nginx_has() {
    let upstream = || {
        resource(
            json!({ "kind": "Upstream", "metadata": { "name": "shop" }, "spec": {
            "affinity": { "cookie": "route", "expires": "1h", "path": "/a", "secure": true },
            "servers": [{ "address": "10.0.0.1:80" }, { "address": "10.0.0.2:80" }],
        } }),
        )
    };
    let old = render("1.28.3", [upstream()]).expect("rendered");
    assert!(old.contains("hash $cookie_route consistent;"), "{old}");
    assert!(!old.contains("sticky"), "{old}");
    let new = render("1.29.6", [upstream()]).expect("rendered");
    assert!(
        new.contains("sticky cookie route expires=3600s \"path=/a\" secure;"),
        "{new}"
    );
    assert!(!new.contains("hash"), "{new}");
}

#[test]
fn addresses_are_asked_for_again_where_nginx_can() {
    let upstream = || {
        resource(
            json!({ "kind": "Upstream", "metadata": { "name": "shop" }, "spec": {
            "resolver": { "servers": ["127.0.0.53:53"], "valid": "10s", "ipv4_only": true },
            "servers": [{ "address": "shop.example:80", "resolve": true }],
        } }),
        )
    };
    let new = render("1.27.3", [upstream()]).expect("rendered");
    assert!(
        new.contains("resolver 127.0.0.53:53 valid=10s ipv6=off;"),
        "{new}"
    );
    assert!(new.contains("server shop.example:80 resolve;"), "{new}");
    assert!(new.contains(" 64k;"), "a zone is needed: {new}");
    let old = render("1.22.1", [upstream()]).expect("rendered");
    assert!(old.contains("map \"\" $nxmesh_addr_"), "{old}");
    assert!(!old.contains("resolve"), "{old}");
    let refused = |resources: Vec<Resource>, by: &str| {
        let [new, old] = ["1.27.3", "1.27.2"].map(|nginx| render(nginx, resources.clone()));
        new.expect("rendered");
        match old {
            Err(RenderError::Unsupported {
                needs, resource, ..
            }) => {
                let told = (needs.to_string(), resource.to_string());
                assert_eq!(told, ("1.27.3".to_owned(), by.to_owned()));
            }
            other => panic!("{by}: {other:?}"),
        }
    };
    let two = json!([
        { "address": "shop.example:80", "resolve": true }, { "address": "10.0.0.1:80" },
    ]);
    let limited = json!([{ "address": "shop.example:80", "resolve": true, "max_conns": 3 }]);
    for servers in [two, limited] {
        let spec = json!({ "resolver": { "servers": ["127.0.0.53:53"] }, "servers": servers });
        let document = json!({ "kind": "Upstream", "metadata": { "name": "shop" }, "spec": spec });
        refused(vec![resource(document)], "Upstream/shop");
    }
    let location = json!({
        "path": "/", "respond": { "status": 200 }, "mirror": { "to": { "upstream": "shop" } },
    });
    let mirroring = host(json!({ "server_names": ["a"], "locations": [location] }));
    refused(vec![upstream(), mirroring], "VirtualHost/shop");
}

#[test]
fn what_nginx_was_built_without_is_refused_by_its_name() {
    let build = |modules: &[&str]| RenderSettings {
        nginx: "1.22.1".parse().expect("a version"),
        modules: Some(std::sync::Arc::new(
            modules.iter().map(|it| (*it).to_owned()).collect(),
        )),
        ..RenderSettings::default()
    };
    let secure = || {
        let spec = json!({
            "server_names": ["a"],
            "listen": [{ "port": 443, "tls": true, "http2": true }],
            "tls": { "certificate": "shop" },
            "real_ip": { "trusted": ["10.0.0.0/8"] },
            "health": "/healthz",
        });
        let set: ResourceSet = [host(spec), sample::certificate("shop").into()]
            .into_iter()
            .collect();
        set
    };
    let all = ["http_realip_module", "http_ssl_module", "http_v2_module"];
    let renderer = HandlebarsRenderer::new();
    renderer
        .render(&secure(), &build(&all))
        .expect("all that is needed is there");
    for missing in all {
        let others: Vec<&str> = all.into_iter().filter(|it| *it != missing).collect();
        match renderer.render(&secure(), &build(&others)) {
            Err(RenderError::MissingModule {
                module, resource, ..
            }) => {
                assert_eq!(module, missing);
                assert_eq!(resource.to_string(), "VirtualHost/shop");
            }
            other => panic!("{missing}: {other:?}"),
        }
    }
}
