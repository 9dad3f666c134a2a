//! What a virtual host says of its ports and paths, asked of a real nginx.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::{
    echo,
    nginx::{free_port, get, get_with, request},
    site::{ask, ask_with, body, header, host, resources, serving, status, upstream},
};

#[test]
fn other_names_are_led_to_the_first() {
    let port = free_port();
    let spec = "  redirect_names: [www.site.test, old.test]
  locations: [{ path: /, respond: { status: 200, body: here } }]";
    let Some(_nginx) = serving(&[host("site", port, spec)]) else {
        return;
    };
    assert_eq!(body(&ask(port, "/")), "here");
    for name in ["www.site.test", "old.test"] {
        let led = get(port, name, b"/a?b=c");
        assert_eq!(led.status, 308);
        let to = format!("http://site.test:{port}/a?b=c");
        assert_eq!(header(&led, "Location"), Some(to));
    }
}

#[test]
fn some_paths_are_answered_whatever_is_said() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let challenges = folder.path().join(".well-known/acme-challenge");
    std::fs::create_dir_all(&challenges).expect("a folder");
    std::fs::write(challenges.join("token"), "key").expect("a file");
    let port = free_port();
    let spec = format!(
        "  health: /healthz
  acme_challenge: {{ root: {} }}
  access: {{ rules: [{{ deny: all }}] }}
  block: {{ networks: [127.0.0.0/8] }}
  maintenance: {{}}
  locations: [{{ path: /, respond: {{ status: 200 }} }}]",
        folder.path().display()
    );
    let Some(_nginx) = serving(&[host("site", port, &spec)]) else {
        return;
    };
    assert_eq!(status(port, "/"), 403);
    assert_eq!(body(&ask(port, "/healthz")), "ok");
    assert_eq!(body(&ask(port, "/.well-known/acme-challenge/token")), "key");
    assert_eq!(status(port, "/.well-known/acme-challenge/other"), 404);
}

#[test]
fn what_a_proxy_in_front_says_counts() {
    let port = free_port();
    let spec = "  behind_tls_proxy: { redirect_http: true, redirect_code: 301, redirect_code_other_methods: 307, hsts: { max_age: 1d, preload: true } }
  locations: [{ path: /, respond: { status: 200 } }]";
    let Some(_nginx) = serving(&[host("site", port, spec)]) else {
        return;
    };
    let plain = ask_with(port, "/a?b=c", "X-Forwarded-Proto: http\r\n");
    assert_eq!(plain.status, 301);
    let to = header(&plain, "Location");
    assert_eq!(to.as_deref(), Some("https://site.test/a?b=c"));
    assert_eq!(header(&plain, "Strict-Transport-Security"), None);
    let posted = |proto: &str| {
        let headers = format!("X-Forwarded-Proto: {proto}\r\nContent-Length: 0\r\n");
        request(port, "POST", "site.test", b"/a", &headers).status
    };
    assert_eq!((posted("http"), posted("https")), (307, 200));
    let secure = ask_with(port, "/", "X-Forwarded-Proto: https\r\n");
    assert_eq!(secure.status, 200);
    let hsts = header(&secure, "Strict-Transport-Security");
    assert_eq!(hsts.as_deref(), Some("max-age=86400; preload"));
    assert_eq!(
        ask_with(port, "/missing", "X-Forwarded-Proto: http\r\n").status,
        301
    );
}

#[test]
fn connections_may_begin_with_the_proxy_protocol() {
    let backend = echo::start();
    let port = free_port();
    let site = format!(
        "kind: VirtualHost
metadata: {{ name: site }}
spec:
  server_names: [site.test]
  listen: [{{ port: {port}, address: 127.0.0.1, proxy_protocol: true, reuse_port: true, backlog: 100, deferred: true, fast_open: 16 }}]
  real_ip: {{ trusted: [127.0.0.1], from: proxy_protocol }}
  locations: [{{ path: /, proxy: {{ upstream: backend }} }}]
"
    );
    let Some(_nginx) = serving(&[site, upstream("backend", &[backend])]) else {
        return;
    };
    let ask = |greeting: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        let request =
            format!("{greeting}GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("ask");
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer));
        answer
    };
    let answer = ask("PROXY TCP4 203.0.113.9 127.0.0.1 5000 80\r\n");
    assert!(answer.contains("X-Real-IP: 203.0.113.9"), "{answer}");
    assert!(!ask("").contains("200 OK"), "without it nobody is served");
}

#[test]
fn what_clients_may_send_is_bounded() {
    let port = free_port();
    let spec = "  server_tokens: name
  client:
    header_timeout: 10s
    header_buffer: 1k
    large_headers: { number: 2, size: 2k }
    ignore_invalid_headers: true
    underscores_in_headers: true
    body_timeout: 10s
    body_buffer: 32k
    send_timeout: 10s
    keepalive: { timeout: 5s, requests: 10, time: 60s }
    merge_slashes: false
    reset_timed_out: true
  locations:
    - { path: /, respond: { status: 200, body: root } }
    - { path: //double, respond: { status: 200, body: double } }";
    let site = host("site", port, spec).replace("listen: [{ ", "listen: [{ default_server: true, ");
    let Some(_nginx) = serving(&[site]) else {
        return;
    };
    let long = format!("X-Long: {}\r\n", "a".repeat(3000));
    assert_eq!(get_with(port, "site.test", b"/", &long).status, 400);
    assert_eq!(header(&ask(port, "/"), "Server").as_deref(), Some("nginx"));
    assert_eq!(body(&ask(port, "//double")), "double");
}

#[test]
fn what_belongs_to_a_port_is_said_by_one_host() {
    use nxmesh_core::{check::check, document::parse};
    let host = |name: &str, listen: &str| {
        format!(
            "---\nkind: VirtualHost\nmetadata: {{ name: {name} }}\nspec:\n  server_names: [{name}.test]\n  \
             listen: [{{ port: 80, {listen} }}]\n"
        )
    };
    let problems = |text: &str| {
        let parsed = parse("test", text).expect("documents");
        let set = parsed.into_iter().map(|parsed| parsed.resource).collect();
        check(set).expect_err("a clash")
    };
    let both = host("a", "reuse_port: true") + &host("b", "backlog: 5");
    assert_eq!(problems(&both)[0].pointer, "/spec/listen/0");
    let mixed = host("a", "proxy_protocol: true") + &host("b", "proxy_protocol: false");
    assert_eq!(problems(&mixed)[0].pointer, "/spec/listen/0/proxy_protocol");
    let led = host("a", "tls: false")
        + &host("b", "tls: false").replace("[b.test]\n", "[b.test]\n  redirect_names: [a.test]\n");
    assert_eq!(problems(&led)[0].pointer, "/spec/redirect_names/0");
    resources(&(host("a", "reuse_port: true") + &host("b", "tls: false")));
}
