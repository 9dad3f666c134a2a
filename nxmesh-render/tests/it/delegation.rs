//! Paths that somebody else writes, and answers that a host gives of itself.

use nxmesh_core::{
    contract::renderer::{RenderSettings, Renderer as _},
    model::ResourceSet,
};
use nxmesh_render::HandlebarsRenderer;

use crate::{
    echo,
    nginx::{RELEASE, free_port},
    site::{ask, ask_with, body, header, host, resources, serving, status, upstream},
};

fn route_set(locations: &str) -> String {
    format!(
        "---\nkind: RouteSet\nmetadata: {{ name: docs }}\nspec: {{ locations: [{locations}] }}\n"
    )
}

#[test]
fn paths_are_answered_as_their_own_team_says_and_the_host_guards_them() {
    let port = free_port();
    let spec = "  delegates: [{ prefix: /docs/, routes: docs }]
  block: { user_agents: [curl] }
  response_headers: [{ name: X-Site, value: site }]
  locations: [{ path: /, respond: { status: 200, body: site } }]";
    let routes = route_set(
        "{ path: /docs/, respond: { status: 200, body: docs } }, \
         { path: /docs/inner/, access: { rules: [{ deny: all }] }, respond: { status: 200, body: inner } }",
    );
    let Some(_nginx) = serving(&[host("site", port, spec), routes]) else {
        return;
    };
    let docs = ask(port, "/docs/a");
    assert_eq!((docs.status, body(&docs)), (200, "docs".to_owned()));
    assert_eq!(header(&docs, "X-Site").as_deref(), Some("site"));
    assert_eq!(status(port, "/docs/inner/"), 403, "its own access");
    let blocked = ask_with(port, "/docs/a", "User-Agent: curl/8\r\n");
    assert_eq!(blocked.status, 403, "whom the host keeps out");
}

#[test]
fn a_change_of_the_routes_renders_their_host_again() {
    let set = |answer: &str| {
        let spec = "  delegates: [{ prefix: /docs/, routes: docs }]";
        let routes = route_set(&format!(
            "{{ path: /docs/, respond: {{ status: 200, body: {answer} }} }}"
        ));
        resources(&(host("site", 8080, spec) + &routes))
    };
    let renderer = HandlebarsRenderer::new();
    let settings = RenderSettings::default();
    let render = |set: &ResourceSet| renderer.render(set, &settings).expect("a tree");
    let (one, two) = (set("one"), set("two"));
    let changed = ["RouteSet/docs".parse().expect("a key")].into();
    let again = renderer
        .rerender(render(&one), &two, &changed, &settings)
        .expect("a tree");
    assert_eq!(again.digest(), render(&two).digest());
    assert_ne!(again.digest(), render(&one).digest());
}

#[test]
fn a_host_tells_its_version_and_its_counts_to_whom_it_may() {
    let port = free_port();
    let spec = "  config_version: /version
  status: { path: /status, allow: [127.0.0.0/8] }
  locations: [{ path: /, respond: { status: 200, body: site } }]";
    let other = "  status: { path: /status, allow: [192.0.2.0/24] }
  basic_auth: { users: { list: [{ name: anna, password_hash: \"$2y$05$abcdefghijklmnopqrstuuNEVT5Ay6aAQ1eBBZ8s4Yb6Xt9l3Qw6m\" }] } }";
    let documents = [host("site", port, spec), host("other", port, other)];
    let Some(_nginx) = serving(&documents) else {
        return;
    };
    assert_eq!(body(&ask(port, "/version")), RELEASE);
    assert!(body(&ask(port, "/status")).starts_with("Active connections: "));
    let denied = crate::nginx::get(port, "other.test", b"/status");
    assert_eq!(denied.status, 403);
}

#[test]
fn a_location_sends_its_own_headers_only() {
    let port = free_port();
    let spec = "  response_headers: [{ name: X-Host, value: host }]
  locations:
    - { path: /, respond: { status: 200, body: a } }
    - { path: /bare, own_response_headers_only: true, respond: { status: 200, body: a } }
    - path: /own
      own_response_headers_only: true
      response_headers: [{ name: X-Own, value: own }]
      respond: { status: 200, body: a }";
    let Some(_nginx) = serving(&[host("site", port, spec)]) else {
        return;
    };
    for (path, inherited, own) in [
        ("/", true, false),
        ("/bare", false, false),
        ("/own", false, true),
    ] {
        let answer = ask(port, path);
        assert_eq!(header(&answer, "X-Host").is_some(), inherited, "{path}");
        assert_eq!(header(&answer, "X-Own").is_some(), own, "{path}");
        assert_eq!(header(&answer, "X-Own-Headers-Only"), None, "{path}");
    }
}

/// The service says who is asked for, and counts how often it was asked.
#[test]
fn a_decision_counts_for_the_same_client_and_no_other() {
    let service = echo::start_with({
        let asked = std::sync::atomic::AtomicUsize::new(0);
        move |request| {
            let count = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if !request.contains("X-Site: shop $1") {
                return ("500 No", String::new());
            }
            if request.contains("Authorization: good") {
                ("200 OK", format!("X-Count: {count}\r\n\r\nok"))
            } else {
                ("403 Forbidden", String::new())
            }
        }
    });
    let backend = echo::start();
    let port = free_port();
    let spec = r#"  external_auth:
    service:
      upstream: service
      path: /check
      copy_headers: [X-Count]
      request_headers: [{ name: X-Site, value: "shop $1" }]
      cache: { time: 1h, by: [X-Team] }
  locations: [{ path: /, proxy: { upstream: backend } }]"#;
    let documents = [
        host("site", port, spec),
        upstream("service", &[service]),
        upstream("backend", &[backend]),
    ];
    let Some(_nginx) = serving(&documents) else {
        return;
    };
    let count = |path: &str, headers: &str| {
        let answer = ask_with(port, path, headers);
        let text = body(&answer);
        let line = text.lines().find_map(|line| line.strip_prefix("X-Count: "));
        (answer.status, line.map(ToOwned::to_owned))
    };
    let good = "Authorization: good\r\n";
    let first = count("/", good);
    assert_eq!(first.0, 200);
    assert_eq!(count("/", good), first, "it is not asked again");
    assert_eq!(count("/", "Authorization: bad\r\n").0, 403);
    assert_eq!(count("/", "").0, 403);
    let team = "Authorization: good\r\nX-Team: a\r\n";
    assert_ne!(count("/", team).1, first.1, "another team");
    let forwarded = "Authorization: good\r\nX-Forwarded-For: 192.0.2.1\r\n";
    assert_ne!(
        count("/", forwarded).1,
        first.1,
        "another client of a proxy"
    );
    assert_ne!(count("/other", good).1, first.1, "another path");
    assert_ne!(
        count("/", "Authorization: good\r\nCookie: a=b\r\n").1,
        first.1
    );
}
