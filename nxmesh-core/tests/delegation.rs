//! What is refused where a virtual host hands paths over, and where it is told.

use nxmesh_core::{
    check::check,
    document::{Problem, parse},
    model::ResourceSet,
};

fn problems(spec: &str, locations: &str) -> Vec<Problem> {
    let text = format!(
        "kind: VirtualHost\nmetadata: {{ name: site }}\nspec: {{ server_names: [a.b], {spec} }}\n---\n\
         kind: RouteSet\nmetadata: {{ name: docs }}\nspec: {{ locations: [{locations}] }}\n"
    );
    let set: ResourceSet = match parse("test", &text) {
        Ok(parsed) => parsed.into_iter().map(|one| one.resource).collect(),
        Err(problems) => return problems,
    };
    check(set).err().unwrap_or_default()
}

#[test]
fn paths_stay_with_those_they_were_given_to() {
    let answer = "respond: { status: 200 }";
    let good = format!("{{ path: /docs/, {answer} }}");
    let given = "delegates: [{ prefix: /docs/, routes: docs }]";
    assert_eq!(problems(given, &good), []);
    for (spec, locations, document, pointer) in [
        (given.to_owned(), format!("{{ path: /, {answer} }}"), "RouteSet/docs", "/spec/locations/0/path"),
        (given.to_owned(), format!("{{ path: /docs, {answer} }}"), "RouteSet/docs", "/spec/locations/0/path"),
        (given.to_owned(), format!("{{ path: \"^/docs/\", match: regex, {answer} }}"), "RouteSet/docs", "/spec/locations/0/match"),
        (given.to_owned(), format!("{good}, {good}"), "RouteSet/docs", "/spec/locations/1/path"),
        (given.to_owned(), String::new(), "RouteSet/docs", "/spec/locations"),
        (given.to_owned(), "{ path: /docs/, proxy: { upstream: gone } }".to_owned(), "RouteSet/docs", "/spec/locations/0/proxy/upstream"),
        (format!("{given}, locations: [{{ path: /docs/own, {answer} }}]"), good.clone(), "VirtualHost/site", "/spec/locations/0/path"),
        ("delegates: [{ prefix: /, routes: docs }]".to_owned(), good.clone(), "VirtualHost/site", "/spec/delegates/0/prefix"),
        ("delegates: [{ prefix: /docs, routes: docs }]".to_owned(), good.clone(), "VirtualHost/site", "/spec/delegates/0/prefix"),
        ("delegates: [{ prefix: /docs/, routes: gone }]".to_owned(), good.clone(), "VirtualHost/site", "/spec/delegates/0/routes"),
        ("delegates: [{ prefix: /docs/, routes: docs }, { prefix: /docs/a/, routes: docs }]".to_owned(), good.clone(), "VirtualHost/site", "/spec/delegates/1/prefix"),
        (format!("{given}, access: {{ rules: [{{ deny: all }}] }}"), format!("{{ path: /docs/, access: {{ rules: [{{ allow: all }}] }}, {answer} }}"), "RouteSet/docs", "/spec/locations/0/access"),
        (format!("{given}, access: {{ rules: [{{ deny: all }}] }}"), format!("{{ path: /docs/, satisfy: any, {answer} }}"), "RouteSet/docs", "/spec/locations/0/satisfy"),
        (format!("{given}, maintenance: {{}}"), format!("{{ path: /docs/, maintenance: {{ enabled: false }}, {answer} }}"), "RouteSet/docs", "/spec/locations/0/maintenance"),
        (format!("{given}, health: /docs/healthz"), good.clone(), "VirtualHost/site", "/spec/health"),
        ("delegates: [{ prefix: /.well-known/, routes: docs }], acme_challenge: { root: /srv }".to_owned(), format!("{{ path: /.well-known/a, {answer} }}"), "VirtualHost/site", "/spec/acme_challenge"),
        ("status: { path: /x, allow: [] }".to_owned(), good.clone(), "VirtualHost/site", "/spec/status/allow"),
        ("health: /x, config_version: /x".to_owned(), good.clone(), "VirtualHost/site", "/spec/config_version"),
        ("external_auth: { service: { upstream: u, path: /, request_headers: [{ name: host, value: a }] } }".to_owned(), good.clone(), "VirtualHost/site", "/spec/external_auth/service/request_headers/0/name"),
        ("external_auth: { service: { upstream: u, path: /, cache: { time: 10ms } } }".to_owned(), good.clone(), "VirtualHost/site", "/spec/external_auth/service/cache/time"),
        ("gzip: { buffers: { count: 1, size: 4k } }".to_owned(), good.clone(), "VirtualHost/site", "/spec/gzip/buffers"),
    ] {
        let found = problems(&spec, &locations);
        let told = found.iter().any(|it| (&*it.document, &*it.pointer) == (document, pointer));
        assert!(told, "{spec} | {locations}: {found:?}");
    }
}
