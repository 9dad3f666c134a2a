//! How requests are treated, asked of a real nginx.

use nxmesh_core::model::ResourceSet;

use crate::{
    nginx::free_port,
    site::{ask, serving_set as serving, site, status},
};

#[test]
fn clients_are_let_in_by_their_address() {
    let port = free_port();
    let site = site(
        port,
        "
  access: { rules: [{ deny: 127.0.0.0/8 }] }
  locations:
    - { path: /, respond: { status: 200, body: closed } }
    - { path: /old, redirect: { to: /new } }
    - path: /open
      access: { rules: [{ allow: 127.0.0.1 }], lists: [nobody] }
      respond: { status: 200, body: open }
      response_headers: [{ name: X-Open, value: yes-it-is }]
    - { path: /list, access: { lists: [nobody] }, respond: { status: 200 } }",
        "kind: AccessList
metadata: { name: nobody }
spec: { rules: [{ deny: all }] }",
    );
    let Some(_nginx) = serving(&site) else { return };
    assert_eq!(status(port, "/"), 403, "a fixed response is closed too");
    assert_eq!(status(port, "/old"), 403, "so is a redirect");
    assert_eq!(status(port, "/list"), 403);
    let open = ask(port, "/open");
    assert_eq!((open.status, &open.body[..]), (200, &b"open"[..]));
    assert_eq!(open.header("X-Open"), Some(&b"yes-it-is"[..]));
    assert_eq!(open.header("Content-Type"), Some(&b"text/plain"[..]));
}

/// How many of ten requests at once are served.
fn served_of_ten(port: u16, path: &str) -> usize {
    (0..10).filter(|_| status(port, path) == 200).count()
}

#[test]
fn requests_are_limited_and_a_changed_limit_takes_effect() {
    let port = free_port();
    let with = |limit: &str| {
        site(
            port,
            &format!(
                "
  rate_limit: {{ {limit} }}
  locations:
    - {{ path: /, respond: {{ status: 200 }} }}
    - {{ path: /free, rate_limit: {{ limits: [{{ rate: 1000000r/s, burst: 100, without_delay: 100 }}] }}, respond: {{ status: 200 }} }}
    - {{ path: /dry, rate_limit: {{ limits: [{{ rate: 1r/m }}], dry_run: true }}, respond: {{ status: 200 }} }}"
            ),
            "",
        )
    };
    let one = with("limits: [{ rate: 1r/m }], status: 503");
    let Some(nginx) = serving(&one) else { return };
    assert_eq!(status(port, "/"), 200);
    assert_eq!(status(port, "/"), 503);
    assert_eq!(served_of_ten(port, "/free"), 10);
    assert_eq!(served_of_ten(port, "/dry"), 10);
    drop(nginx);
    // The zone has another name, so nginx takes another rate and size.
    let zone = |resources: &ResourceSet| {
        let text = rendered(resources);
        let start = text
            .find("zone=nxmesh_limit_")
            .map(|at| at + 5)
            .unwrap_or_default();
        text[start..]
            .split(':')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let burst = with("limits: [{ rate: 1r/m, burst: 4, without_delay: 4 }]");
    let sized = with("limits: [{ rate: 1r/m, zone_size: 1m }], status: 503");
    assert_eq!(zone(&one), zone(&burst), "a burst is no matter of the zone");
    assert_ne!(zone(&one), zone(&sized));
    let _nginx = serving(&burst);
    assert_eq!(served_of_ten(port, "/"), 5);
    assert_eq!(status(port, "/"), 429);
}

#[test]
fn some_clients_are_not_limited() {
    let port = free_port();
    let site = site(
        port,
        "
  locations:
    - { path: /, rate_limit: { limits: [{ rate: 1r/m }], except: [127.0.0.0/8] }, respond: { status: 200 } }
    - { path: /others, rate_limit: { limits: [{ rate: 1r/m }], except: [192.0.2.1] }, respond: { status: 200 } }
    - { path: /key, rate_limit: { limits: [{ key: { header: X-Key }, rate: 1r/m }] }, respond: { status: 200 } }",
        "",
    );
    let Some(_nginx) = serving(&site) else { return };
    assert_eq!(served_of_ten(port, "/"), 10);
    assert_eq!(served_of_ten(port, "/others"), 1);
    assert_eq!(
        served_of_ten(port, "/key"),
        10,
        "without the header nothing is counted"
    );
}

pub(crate) fn rendered(resources: &ResourceSet) -> String {
    use nxmesh_core::contract::renderer::{RenderSettings, Renderer as _};
    let renderer = nxmesh_render::HandlebarsRenderer::new();
    let tree = renderer
        .render(resources, &RenderSettings::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let texts = tree
        .files()
        .map(|(_, file)| String::from_utf8_lossy(&file.contents).into_owned());
    texts.collect()
}

#[test]
fn a_changed_policy_changes_the_hosts_that_name_it() {
    use std::collections::BTreeSet;

    use nxmesh_core::contract::renderer::{RenderSettings, Renderer as _};

    let policy = |size: &str| {
        site(
            8080,
            "  policies: [careful]\n  locations: [{ path: /, respond: { status: 200 } }]",
            &format!(
                "kind: Policy\nmetadata: {{ name: careful }}\nspec: {{ max_body_size: {size} }}"
            ),
        )
    };
    let (before, after) = (policy("1m"), policy("2m"));
    let renderer = nxmesh_render::HandlebarsRenderer::new();
    let settings = RenderSettings::default();
    let render = |set| {
        renderer
            .render(set, &settings)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let changed = BTreeSet::from(["Policy/careful".parse().expect("a key")]);
    let again = renderer
        .rerender(render(&before), &after, &changed, &settings)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again, render(&after));
    assert!(rendered(&after).contains("client_max_body_size 2m;"));
}

#[test]
fn responses_are_compressed_where_it_is_said() {
    let port = free_port();
    let body = "compressible ".repeat(100);
    let site = site(
        port,
        &format!(
            "
  gzip: {{ types: [text/plain], min_length: 100, level: 9, disable: [curl], buffers: {{ count: 16, size: 8k }}, unpack: true }}
  locations:
    - {{ path: /, respond: {{ status: 200, body: \"{body}\" }} }}
    - {{ path: /plain, gzip: {{ enabled: false }}, respond: {{ status: 200, body: \"{body}\" }} }}
    - {{ path: /html, gzip: {{}}, respond: {{ status: 200, body: \"{body}\", content_type: text/html }} }}
    - {{ path: /other, gzip: {{}}, respond: {{ status: 200, body: \"{body}\" }} }}
    - {{ path: /curl, gzip: {{}}, respond: {{ status: 200, body: short but long enough, content_type: text/html }} }}"
        ),
        "",
    );
    let Some(_nginx) = serving(&site) else { return };
    let ask = |path: &str| {
        crate::nginx::get_with(
            port,
            "site.test",
            path.as_bytes(),
            "Accept-Encoding: gzip\r\nUser-Agent: curl/8\r\n",
        )
    };
    assert_eq!(ask("/").header("Content-Encoding"), None, "to curl");
    let html = ask("/html");
    assert_eq!(html.header("Content-Encoding"), Some(&b"gzip"[..]));
    let short = ask("/curl");
    assert_eq!(short.header("Content-Encoding"), Some(&b"gzip"[..]));
    assert_eq!(
        ask("/other").header("Content-Encoding"),
        None,
        "no type is said"
    );
    let ask = |path: &str| {
        crate::nginx::get_with(
            port,
            "site.test",
            path.as_bytes(),
            "Accept-Encoding: gzip\r\n",
        )
    };
    let compressed = ask("/");
    assert_eq!(compressed.header("Content-Encoding"), Some(&b"gzip"[..]));
    assert_eq!(compressed.header("Vary"), Some(&b"Accept-Encoding"[..]));
    assert_eq!(ask("/plain").header("Content-Encoding"), None);
}

#[test]
fn each_tier_has_a_limit_of_its_own() {
    let port = free_port();
    let site = site(
        port,
        "
  rate_limit:
    agents: 2
    log_level: warn
    limits:
      - { when: { headers: [{ name: X-Tier, value: gold }], methods: [GET] }, rate: 10r/m, burst: 7, without_delay: 7 }
      - { when: { headers: [{ name: X-Tier, value: silver }] }, rate: 10r/m, burst: 2, without_delay: 2 }
      - { otherwise: true, rate: 1r/m }
  connection_limit: { limits: [{ connections: 1000 }], dry_run: true, log_level: notice }
  locations: [{ path: /, respond: { status: 200 } }]",
        "",
    );
    let Some(_nginx) = serving(&site) else { return };
    let served = |tier: &str| {
        let headers = format!("X-Tier: {tier}\r\n");
        let statuses = (0..10).map(|_| crate::site::ask_with(port, "/", &headers).status);
        statuses.filter(|status| *status == 200).count()
    };
    assert_eq!(
        (served("gold"), served("silver"), served("none")),
        (8, 3, 1)
    );
    let text = rendered(&site);
    assert!(text.contains("rate=5r/m"), "half of it: {text}");
    assert!(text.contains("rate=1r/m"), "at least one: {text}");
    assert!(text.contains("limit_req_log_level warn;"), "{text}");
    assert!(text.contains("limit_conn_log_level notice;"), "{text}");
    assert!(text.contains("limit_conn_dry_run on;"), "{text}");
}
