//! What is refused in stream servers and in settings of an nginx as a whole, and
//! where it is told.

use nxmesh_core::{
    check::check,
    document::{Problem, parse},
    model::ResourceSet,
};

fn problems(text: &str) -> Vec<Problem> {
    let set: ResourceSet = match parse("test", text) {
        Ok(parsed) => parsed.into_iter().map(|one| one.resource).collect(),
        Err(problems) => return problems,
    };
    check(set).err().unwrap_or_default()
}

fn server(name: &str, spec: &str) -> String {
    format!("---\nkind: StreamServer\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

fn settings(name: &str, spec: &str) -> String {
    format!("---\nkind: NginxSettings\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

const UPSTREAM: &str = "---\nkind: Upstream\nmetadata: { name: db }\n\
                        spec: { servers: [{ address: \"10.0.0.1:5432\" }] }\n";

#[test]
fn fields_are_refused_where_they_stand() {
    let listen = "listen: [{ port: 5432 }]";
    for (spec, pointer) in [
        ("listen: [], pass: db".to_owned(), "/spec/listen"),
        (
            "listen: [{ port: 1 }, { port: 1, address: \"::\" }], pass: db".to_owned(),
            "/spec/listen/1",
        ),
        (
            "listen: [{ port: 1, backlog: 0 }], pass: db".to_owned(),
            "/spec/listen/0/backlog",
        ),
        (listen.to_owned(), "/spec"),
        (format!("{listen}, pass: db, respond: x"), "/spec"),
        (format!("{listen}, respond: ''"), "/spec/respond"),
        (format!("{listen}, respond: \"a\\rb\""), "/spec/respond"),
        (
            format!("{listen}, respond: x, split: {{ shares: [{{ upstream: db, percent: 5 }}] }}"),
            "/spec/split",
        ),
        (
            format!("{listen}, pass: db, split: {{ shares: [] }}"),
            "/spec/split/shares",
        ),
        (
            format!("{listen}, by_name: {{ routes: [] }}"),
            "/spec/by_name/routes",
        ),
        (
            format!(
                "{listen}, by_name: {{ routes: [{{ server_names: [default], upstream: db }}] }}"
            ),
            "/spec/by_name/routes/0/server_names/0",
        ),
        (
            format!(
                "{listen}, by_name: {{ routes: [{{ server_names: [\"~x.y\"], upstream: db }}] }}"
            ),
            "/spec/by_name/routes/0/server_names/0",
        ),
        (
            format!(
                "{listen}, by_name: {{ routes: [{{ server_names: [a.b, A.b], upstream: db }}] }}"
            ),
            "/spec/by_name/routes/0/server_names/1",
        ),
        (
            format!("{listen}, pass: db, upstream_tls: {{}}"),
            "/spec/upstream_tls/server_name",
        ),
        (
            format!("{listen}, pass: db, datagrams: {{ responses: 1 }}"),
            "/spec/datagrams",
        ),
        (
            format!("protocol: udp, {listen}, pass: db, tls: {{ certificate: c }}"),
            "/spec/tls",
        ),
        (
            "protocol: udp, listen: [{ port: 1, proxy_protocol: true }], pass: db".to_owned(),
            "/spec/listen/0/proxy_protocol",
        ),
        (
            format!("{listen}, pass: db, buffer_size: 2m"),
            "/spec/buffer_size",
        ),
        (
            format!("{listen}, pass: db, limits: {{ connections: 0 }}"),
            "/spec/limits/connections",
        ),
        (
            format!("{listen}, pass: db, retry: {{ tries: 0 }}"),
            "/spec/retry/tries",
        ),
        (format!("{listen}, pass: db, access: {{}}"), "/spec/access"),
        (
            format!("{listen}, pass: db, access_log: {{}}"),
            "/spec/access_log",
        ),
        (format!("{listen}, pass: db, surprise: 1"), "/spec/surprise"),
        (format!("{listen}, pass: nobody"), "/spec/pass"),
    ] {
        let found = problems(&(server("a", &spec) + UPSTREAM));
        let pointers: Vec<&str> = found.iter().map(|it| &*it.pointer).collect();
        assert!(pointers.contains(&pointer), "{spec}: {found:?}");
    }
}

#[test]
fn an_upstream_for_requests_is_refused() {
    for spec in [
        "balance: ip_hash",
        "balance: { hash: { key: request_uri } }",
        "affinity: { cookie: a }",
    ] {
        let upstream = UPSTREAM.replace("spec: {", &format!("spec: {{ {spec},"));
        let found = problems(&(server("a", "listen: [{ port: 1 }], pass: db") + &upstream));
        assert_eq!(found[0].pointer, "/spec/pass", "{spec}: {found:?}");
        assert_eq!(found[0].document, "StreamServer/a");
    }
}

#[test]
fn a_socket_is_for_one_server_alone() {
    let host = "---\nkind: VirtualHost\nmetadata: { name: site }\nspec: { selector: \"env=prod\", \
                server_names: [a.b], listen: [{ port: 443, address: 10.0.0.1 }] }\n";
    let at = |spec: &str| problems(&(server("a", &format!("{spec}, pass: db")) + UPSTREAM + host));
    for (listen, clashes) in [
        ("listen: [{ port: 443 }]", true),
        ("listen: [{ port: 443, address: 10.0.0.1 }]", true),
        ("listen: [{ port: 443, address: 10.0.0.2 }]", false),
        ("listen: [{ port: 443, address: \"::1\" }]", false),
        ("listen: [{ port: 444 }]", false),
        ("listen: [{ port: 443 }], protocol: udp", false),
        ("listen: [{ port: 443 }], selector: \"env=test\"", false),
    ] {
        let found = at(listen);
        assert_eq!(!found.is_empty(), clashes, "{listen}: {found:?}");
        for problem in found {
            assert_eq!(problem.pointer, "/spec/listen/0");
            assert!(
                problem.to_string().contains("VirtualHost/site"),
                "{problem}"
            );
        }
    }
    let two = ["a", "b"].map(|name| server(name, "listen: [{ port: 1 }], pass: db"));
    let found = problems(&(two.concat() + UPSTREAM));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&*found[0].document, &*found[0].pointer),
        ("StreamServer/b", "/spec/listen/0")
    );
    let apart = server("a", "listen: [{ port: 1 }], pass: db")
        + &server("b", "listen: [{ port: 1 }], pass: db, protocol: udp");
    assert_eq!(problems(&(apart + UPSTREAM)), []);
}

#[test]
fn an_nginx_has_one_document_of_settings() {
    for (spec, pointer) in [
        (
            "worker_processes: { count: 0 }",
            "/spec/worker_processes/count",
        ),
        ("worker_connections: 1", "/spec/worker_connections"),
        ("worker_open_files: 1", "/spec/worker_open_files"),
        (
            "worker_connections: 4096, worker_open_files: 1024",
            "/spec/worker_open_files",
        ),
        ("worker_priority: 21", "/spec/worker_priority"),
        (
            "media_types: [{ type: text/html, extensions: [html, HTML] }]",
            "/spec/media_types/0/extensions",
        ),
        (
            "media_types: [{ type: text/html, extensions: [] }]",
            "/spec/media_types/0/extensions",
        ),
    ] {
        assert_eq!(problems(&settings("a", spec))[0].pointer, pointer, "{spec}");
    }
    let both =
        |first: &str, second: &str| problems(&(settings("a", first) + &settings("b", second)));
    assert_eq!(both("selector: \"env=prod\"", "selector: \"env=test\""), []);
    let found = both("", "selector: \"env=prod\"");
    assert_eq!(
        (&*found[0].document, &*found[0].pointer),
        ("NginxSettings/b", "/spec/selector")
    );
}

#[test]
fn http3_needs_tls_and_its_port_of_udp_alone() {
    let host = |listen: &str| {
        format!(
            "---\nkind: VirtualHost\nmetadata: {{ name: site }}\nspec: {{ server_names: [a.b], \
             listen: [{{ port: 443, {listen} }}], reject_handshake: true }}\n"
        )
    };
    for listen in [
        "http3: true",
        "tls: true, http3: true, proxy_protocol: true",
    ] {
        let found = problems(&host(listen));
        assert_eq!(found[0].pointer, "/spec/listen/0/http3", "{found:?}");
    }
    let dns = server("dns", "protocol: udp, listen: [{ port: 443 }], pass: db") + UPSTREAM;
    let found = problems(&(host("tls: true, http3: true") + &dns));
    assert_eq!(&*found[0].document, "StreamServer/dns", "{found:?}");
    assert_eq!(problems(&(host("tls: true") + &dns)), []);
}
