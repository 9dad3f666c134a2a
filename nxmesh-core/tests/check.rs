//! Rules within a document and between documents.

use nxmesh_core::{
    check::{check, document, may_share_agents},
    document::Problem,
    model::{Resource, ResourceSet, Selector},
    testkit::sample,
};
use serde_json::{Value, json};

fn host(name: &str, spec: Value) -> Resource {
    let mut spec = spec;
    if spec.get("server_names").is_none() {
        spec["server_names"] = json!([format!("{name}.example.com")]);
    }
    sample::resource(json!({ "kind": "VirtualHost", "metadata": { "name": name }, "spec": spec }))
}

fn upstream(spec: Value) -> Resource {
    sample::resource(json!({ "kind": "Upstream", "metadata": { "name": "shop" }, "spec": spec }))
}

fn pointers(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .map(|problem| format!("{}{}", problem.document, problem.pointer))
        .collect()
}

/// The problems between resources, as `document` + pointer.
fn clashes(resources: impl IntoIterator<Item = Resource>) -> Vec<String> {
    match check(resources.into_iter().collect()) {
        Ok(_) => Vec::new(),
        Err(problems) => pointers(&problems),
    }
}

#[test]
fn sample_sites_pass() {
    let mut resources = sample::fleet(50);
    resources.insert(Resource::from(sample::tls_virtual_host("shop")));
    resources.insert(Resource::from(sample::upstream("shop")));
    resources.insert(Resource::from(sample::certificate("shop")));
    let checked = check(resources.clone()).unwrap();
    assert_eq!(checked.resources(), &resources);
    assert_eq!(checked.into_resources(), resources);
}

#[test]
fn each_rule_of_a_virtual_host_points_at_its_field() {
    let tls = json!({ "certificate": "shop" });
    let path = |path: &str, kind: &str| json!({ "path": path, "match": kind, "respond": { "status": 200 } });
    for (spec, expected) in [
        (json!({ "server_names": [] }), "/spec/server_names"),
        (
            json!({ "server_names": ["a.example", "b.example", "A.example"] }),
            "/spec/server_names/2",
        ),
        (json!({ "listen": [] }), "/spec/listen"),
        (
            json!({ "listen": [{ "port": 80 }, { "port": 80 }] }),
            "/spec/listen/1",
        ),
        (
            json!({ "listen": [{ "port": 80 }, { "port": 80, "address": "0.0.0.0" }] }),
            "/spec/listen/1",
        ),
        (
            json!({ "listen": [{ "port": 80, "address": "::" }, { "port": 80 }] }),
            "/spec/listen/1",
        ),
        (
            json!({ "listen": [{ "port": 443, "tls": true }] }),
            "/spec/listen/0",
        ),
        (
            json!({ "listen": [{ "port": 80, "http2": true }] }),
            "/spec/listen/0",
        ),
        (json!({ "tls": tls }), "/spec/tls"),
        (
            json!({
                "listen": [{ "port": 443, "tls": true }],
                "tls": { "certificate": "shop", "redirect_http": true },
            }),
            "/spec/tls/redirect_http",
        ),
        (
            json!({ "locations": [path("/", "prefix"), path("/", "prefix")] }),
            "/spec/locations/1/path",
        ),
        (
            json!({ "locations": [path("/", "prefix"), path("/", "prefix_priority")] }),
            "/spec/locations/1/path",
        ),
        (
            json!({ "locations": [path("/", "exact"), path("/", "exact")] }),
            "/spec/locations/1/path",
        ),
        (
            json!({ "locations": [path("^/a", "regex"), path("^/a", "regex")] }),
            "/spec/locations/1/path",
        ),
    ] {
        let found = document(&host("shop", spec.clone()));
        assert_eq!(
            pointers(&found),
            [format!("VirtualHost/shop{expected}")],
            "{spec}"
        );
        assert!(!found[0].rule.is_empty(), "{spec}");
    }
}

#[test]
fn virtual_hosts_in_order_pass() {
    let path = |path: &str, kind: &str| json!({ "path": path, "match": kind, "respond": { "status": 200 } });
    for spec in [
        json!({ "locations": [path("/", "exact"), path("/", "prefix"), path("/", "regex"), path("/", "regex_ignore_case")] }),
        json!({ "listen": [{ "port": 80 }, { "port": 80, "address": "127.0.0.1" }, { "port": 81 }] }),
        json!({ "listen": [{ "port": 80, "address": "0.0.0.0" }, { "port": 80, "address": "::" }] }),
        json!({
            "listen": [{ "port": 80 }, { "port": 443, "tls": true, "http2": true }],
            "tls": { "certificate": "shop", "redirect_http": true },
        }),
    ] {
        assert_eq!(document(&host("shop", spec.clone())), [], "{spec}");
    }
}

#[test]
fn each_rule_of_an_upstream_points_at_its_field() {
    let server = json!({ "address": "10.0.0.1:80" });
    for (spec, expected) in [
        (json!({ "servers": [] }), "/spec/servers"),
        (
            json!({ "servers": [{ "address": "10.0.0.1:80", "backup": true }] }),
            "/spec/servers",
        ),
        (
            json!({ "servers": [server], "keepalive": 10_001 }),
            "/spec/keepalive",
        ),
        (
            json!({ "servers": [server, { "address": "10.0.0.2:80", "weight": 0 }] }),
            "/spec/servers/1/weight",
        ),
        (
            json!({ "servers": [server, { "address": "10.0.0.2:80", "backup": true }], "balance": "ip_hash" }),
            "/spec/servers/1/backup",
        ),
        (
            json!({ "servers": [server, { "address": "10.0.0.2:80", "backup": true }], "balance": "random" }),
            "/spec/servers/1/backup",
        ),
        (
            json!({
                "servers": [server, { "address": "10.0.0.2:80", "backup": true }],
                "balance": { "hash": { "key": "request_uri" } },
            }),
            "/spec/servers/1/backup",
        ),
        (
            json!({ "servers": [server, server] }),
            "/spec/servers/1/address",
        ),
        (
            json!({ "servers": [server], "health_check": { "interval": "10ms" } }),
            "/spec/health_check/interval",
        ),
        (
            json!({ "servers": [server], "health_check": { "timeout": "61s" } }),
            "/spec/health_check/timeout",
        ),
        (
            json!({ "servers": [server], "health_check": { "rises": 0 } }),
            "/spec/health_check/rises",
        ),
        (
            json!({ "servers": [server], "health_check": { "falls": 101 } }),
            "/spec/health_check/falls",
        ),
        (
            json!({ "servers": [server], "health_check": { "path": "/up" } }),
            "/spec/health_check/path",
        ),
        (
            json!({ "servers": [server], "health_check": { "type": "tcp", "host": "a.example" } }),
            "/spec/health_check/host",
        ),
        (
            json!({ "servers": [server], "health_check": { "expect_status": [200] } }),
            "/spec/health_check/expect_status",
        ),
        (
            json!({ "servers": [server], "zone_size": "1k" }),
            "/spec/zone_size",
        ),
        (
            json!({ "servers": [server], "keepalive": 1, "keepalive_limits": { "requests": 0 } }),
            "/spec/keepalive_limits/requests",
        ),
        (
            json!({ "servers": [server], "keepalive_limits": { "idle": "5s" } }),
            "/spec/keepalive_limits",
        ),
        (
            json!({ "servers": [server], "keepalive": 0, "keepalive_limits": { "idle": "5s" } }),
            "/spec/keepalive_limits",
        ),
        (
            json!({ "servers": [server], "balance": "ip_hash", "affinity": { "cookie": "a" } }),
            "/spec/affinity",
        ),
        (
            json!({ "servers": [server], "resolver": { "servers": [] } }),
            "/spec/resolver/servers",
        ),
        (
            json!({ "servers": [{ "address": "a.example:80", "resolve": true }] }),
            "/spec/servers/0/resolve",
        ),
    ] {
        let found = document(&upstream(spec.clone()));
        assert_eq!(
            pointers(&found),
            [format!("Upstream/shop{expected}")],
            "{spec}"
        );
    }
}

#[test]
fn missing_references_are_told_all_at_once() {
    let spec = json!({
        "listen": [{ "port": 443, "tls": true }],
        "tls": { "certificate": "shop" },
        "locations": [
            { "path": "/", "proxy": { "upstream": "there" } },
            { "path": "/a", "proxy": { "upstream": "missing" } },
        ],
    });
    let there = Resource::from(sample::upstream("there"));
    assert_eq!(
        clashes([host("shop", spec), there]),
        [
            "VirtualHost/shop/spec/tls/certificate",
            "VirtualHost/shop/spec/locations/1/proxy/upstream",
        ]
    );
}

/// Two virtual hosts with the same name, on these listens and selectors.
fn same_name(one: Value, other: Value, selectors: [&str; 2]) -> Vec<String> {
    let spec = |listen, selector| json!({ "server_names": ["x.example"], "listen": [listen], "selector": selector });
    clashes([
        host("a", spec(one, selectors[0])),
        host("b", spec(other, selectors[1])),
    ])
}

#[test]
fn a_name_is_claimed_once_per_socket() {
    let anywhere = || json!({ "port": 80 });
    let at = |address: &str| json!({ "port": 80, "address": address });
    for (one, other, clash) in [
        (anywhere(), anywhere(), true),
        (anywhere(), json!({ "port": 81 }), false),
        (at("127.0.0.1"), at("127.0.0.1"), true),
        (at("127.0.0.1"), at("127.0.0.2"), false),
        // nginx picks the server of the specific address first.
        (anywhere(), at("127.0.0.1"), false),
        // The wildcard written out is the wildcard.
        (anywhere(), at("0.0.0.0"), true),
        (at("::"), anywhere(), true),
        (at("::"), at("0.0.0.0"), false),
    ] {
        let found = same_name(one.clone(), other.clone(), ["", ""]);
        let expected: &[&str] = match clash {
            true => &["VirtualHost/b/spec/server_names/0"],
            false => &[],
        };
        assert_eq!(found, expected, "{one} and {other}");
    }
}

#[test]
fn names_clash_only_for_agents_both_may_select() {
    for (one, other, shared) in [
        ("", "env=prod", true),
        ("env=prod", "env=dev", false),
        ("env in (a,b)", "env in (b,c)", true),
        ("env in (a,b)", "env in (c,d)", false),
        ("env=prod", "env!=prod", false),
        ("env in (a,b)", "env notin (a,b,c)", false),
        ("env in (a,b)", "env notin (a)", true),
        ("canary", "!canary", false),
        ("canary=yes", "!canary", false),
        ("env=prod", "zone=a", true),
        ("env=prod,zone=a", "env=prod,zone=b", false),
        ("!canary", "!canary", true),
    ] {
        let selectors: [Selector; 2] = [one, other].map(|text| text.parse().unwrap());
        assert_eq!(may_share_agents(&selectors[0], &selectors[1]), shared);
        assert_eq!(may_share_agents(&selectors[1], &selectors[0]), shared);
        for pair in [[one, other], [other, one]] {
            let listen = || json!({ "port": 80 });
            let found = same_name(listen(), listen(), pair);
            assert_eq!(found.is_empty(), !shared, "{pair:?}: {found:?}");
        }
    }
}

#[test]
fn a_socket_has_one_default_server() {
    let spec = |port: u16, selector: &str| {
        let listen = [
            json!({ "port": 8000 }),
            json!({ "port": port, "default_server": true }),
        ];
        json!({ "listen": listen, "selector": selector })
    };
    let hosts = |a, b, c| {
        clashes([
            host("a", spec(80, a)),
            host("b", spec(80, b)),
            host("c", spec(81, c)),
        ])
    };
    let clash = ["VirtualHost/b/spec/listen/1/default_server"];
    assert_eq!(hosts("", "", ""), clash);
    assert_eq!(hosts("env=a", "env=a,zone=b", ""), clash);
    assert!(hosts("env=a", "env=b", "").is_empty());
}

#[test]
fn a_socket_is_tls_or_plain() {
    let tls = |address: Value, selector: &str| {
        let listen = json!([{ "port": 443, "tls": true, "address": address }]);
        let tls = json!({ "certificate": "cert" });
        json!({ "listen": listen, "tls": tls, "selector": selector })
    };
    let plain = |selector: &str| json!({ "listen": [{ "port": 443 }], "selector": selector });
    let with = |one, other| {
        let certificate = Resource::from(sample::certificate("cert"));
        clashes([host("a", one), host("b", other), certificate])
    };
    let clash = ["VirtualHost/a/spec/listen/0/tls"];
    assert_eq!(with(plain(""), tls(Value::Null, "")), clash);
    assert_eq!(with(plain(""), tls(json!("0.0.0.0"), "")), clash);
    let clash = ["VirtualHost/b/spec/listen/0/tls"];
    assert_eq!(with(tls(Value::Null, "env=a"), plain("zone=b")), clash);
    assert!(with(plain(""), tls(json!("10.0.0.1"), "")).is_empty());
    assert!(with(plain("env=a"), tls(Value::Null, "env=b")).is_empty());
    assert!(with(tls(Value::Null, ""), tls(Value::Null, "")).is_empty());
}

#[test]
fn two_certificates_of_one_server_have_keys_of_different_types() {
    let tls = json!({ "certificate": "one", "more_certificates": ["two"] });
    let spec = json!({ "listen": [{ "port": 443, "tls": true }], "tls": tls });
    let alike = [
        host("a", spec),
        sample::certificate("one").into(),
        sample::other_certificate("two").into(),
    ];
    assert_eq!(
        clashes(alike),
        ["VirtualHost/a/spec/tls/more_certificates/0"]
    );
}

/// Pairs are not compared one by one: ten thousand hosts that clash nowhere,
/// each the default of its own agent, and half of them with other names.
#[test]
fn ten_thousand_virtual_hosts_are_checked_in_bounded_time() {
    let own_agents: ResourceSet = (0..10_000)
        .map(|number| {
            let spec = json!({
                "listen": [{ "port": 80, "default_server": true }],
                "server_names": [format!("{}.example", number / 2)],
                "selector": format!("agent=a{number},env=prod"),
            });
            host(&format!("host-{number}"), spec)
        })
        .collect();
    let fleet = sample::fleet(10_000);
    let started = std::time::Instant::now();
    assert!(check(own_agents).is_ok());
    assert!(check(fleet).is_ok());
    // Comparing pairs takes minutes here, this takes a second.
    let took = started.elapsed();
    assert!(took.as_secs() < 30, "{took:?}");
}

/// Selectors that exclude each other by nothing but `k` and `!k`, one of which
/// is wrong: the clash is found among thousands that are told apart.
#[test]
fn selectors_of_presence_are_told_apart() {
    let spec = |number: usize, of: usize| {
        let bit = |bit: usize| match number >> bit & 1 {
            0 => format!("!k{bit}"),
            _ => format!("k{bit}"),
        };
        let selector = (0..of).map(bit).collect::<Vec<_>>().join(",");
        json!({ "server_names": ["one.example"], "listen": [{ "port": 80 }], "selector": selector })
    };
    let hosts = |count: usize| (0..count).map(move |number| (format!("h{number:04}"), number));
    let mut set: Vec<Resource> = hosts(4_096)
        .map(|(name, number)| host(&name, spec(number, 12)))
        .collect();
    assert!(clashes(set.clone()).is_empty());
    // Leaves the last label open: shares agents with one of the others each way.
    set.push(host("z", spec(5, 11)));
    assert_eq!(clashes(set), ["VirtualHost/z/spec/server_names/0"]);
}

/// What the index leaves to comparison is compared: `notin`, and lists of values.
#[test]
fn selectors_in_an_index_clash_as_pairs_do() {
    let parts = [
        "",
        "a",
        "!a",
        "a=1",
        "a!=1",
        "a in (1,2)",
        "a notin (1,2)",
        "b",
        "!b",
        "b=1",
        "b in (1,3)",
        "a=2,b in (1,2)",
        "a in (1,2),b in (2,3)",
        "a,b!=1",
        "!a,b=3",
    ];
    let selectors: Vec<Selector> = parts.map(|text| text.parse().unwrap()).into();
    // Many of each, so that the index parts them.
    let texts: Vec<&str> = parts
        .iter()
        .copied()
        .cycle()
        .take(parts.len() * 3)
        .collect();
    for rotation in 0..parts.len() {
        let order: Vec<&str> = (0..texts.len())
            .map(|at| texts[(at + rotation) % texts.len()])
            .collect();
        let found = clashes(order.iter().enumerate().map(|(number, selector)| {
            let listen = json!([{ "port": 80 }]);
            let spec =
                json!({ "server_names": ["x.example"], "listen": listen, "selector": selector });
            host(&format!("h{number:03}"), spec)
        }));
        let index_of = |text: &str| parts.iter().position(|part| *part == text).unwrap();
        let expected: Vec<String> = (0..order.len())
            .filter(|&at| {
                let own = &selectors[index_of(order[at])];
                order[..at]
                    .iter()
                    .any(|other| may_share_agents(&selectors[index_of(other)], own))
            })
            .map(|at| format!("VirtualHost/h{at:03}/spec/server_names/0"))
            .collect();
        assert_eq!(found, expected);
    }
}

/// Nothing is stored of which nobody knows whether it clashes.
#[test]
fn selectors_that_take_too_long_to_tell_apart_are_refused() {
    let set = (0..6_000_usize).map(|number| {
        let bit = |bit: usize| match number >> bit & 1 {
            0 => format!("k{bit:02} in (a,b)"),
            _ => format!("k{bit:02} in (c,d)"),
        };
        let selector = (0..20).rev().map(bit).collect::<Vec<_>>().join(",");
        let listen = json!([{ "port": 80 }]);
        host(
            &format!("h{number:04}"),
            json!({ "server_names": ["one.example"], "listen": listen, "selector": selector }),
        )
    });
    let problems = check(set.collect()).map(|_| ()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].pointer, "/spec/selector");
    assert!(
        problems[0].rule.contains("takes too long"),
        "{}",
        problems[0]
    );
    assert_eq!(problems[0].example, "agent=web-1");
}
