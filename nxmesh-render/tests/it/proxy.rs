//! How requests are passed on and what comes back, asked of a real nginx.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use nxmesh_core::testkit::sample::{BLOG_CERTIFICATE, BLOG_KEY, SHOP_CERTIFICATE, SHOP_KEY};

use crate::{
    echo,
    nginx::{encoded, free_port, get},
    site::{ask, ask_with, body, header, host, serving, upstream},
};

/// The first line that the upstream saw.
fn asked(port: u16, path: &str) -> String {
    let seen = body(&ask(port, path));
    let line = seen.lines().next().unwrap_or_default();
    line.trim_end_matches(" HTTP/1.1").to_owned()
}

#[test]
fn the_path_is_rewritten() {
    let port = free_port();
    let echo = echo::start();
    let site = host(
        "site",
        port,
        r#"
  locations:
    - { path: /api/, proxy: { upstream: echo, rewrite: { prefix: /v1/ } } }
    - { path: /one, match: exact, proxy: { upstream: echo, rewrite: { prefix: /other } } }
    - { path: /, proxy: { upstream: echo } }
    - path: ^/users/
      match: regex
      proxy: { upstream: echo, rewrite: { pattern: "^/users/([0-9]+)/(.*)$", to: "/$u/{2}/{1}0;x" } }
    - path: /all/
      proxy: { upstream: echo, rewrite: { pattern: "(?s)^/all/(.*)$", to: "/{1}" } }"#,
    );
    let Some(_nginx) = serving(&[site, upstream("echo", &[echo])]) else {
        return;
    };
    for (sent, seen) in [
        ("/api/users?id=1", "GET /v1/users?id=1"),
        ("/api/", "GET /v1/"),
        ("/one?x=%20", "GET /other?x=%20"),
        ("/a%2Fb?c", "GET /a%2Fb?c"),
        ("/users/7/a%20b?q=1", "GET /$u/a%20b/70;x?q=1"),
        ("/users/x", "GET /users/x"),
        // What was a path stays a path, and a line break never gets out.
        ("/users/7/a%3Fb%23c", "GET /$u/a%3Fb%23c/70;x"),
        ("/all/a%0D%0AX:%20y", "GET /a%0D%0AX:%20y"),
    ] {
        assert_eq!(asked(port, sent), seen, "{sent}");
    }
    // Captures that have to be escaped are as long as nginx counted (CVE-2026-42945).
    let long = "+%é ".repeat(400);
    let path = [&b"/all/"[..], &encoded(&long)].concat();
    let answer = get(port, "site.test", &path);
    assert_eq!(answer.status, 200);
    let line = body(&answer).lines().next().unwrap_or_default().to_owned();
    assert_eq!(line.matches("+%25%C3%A9%20").count(), 400, "{line}");
}

/// The lines the upstream saw that say where a request came from.
fn origin(port: u16, path: &str) -> Vec<String> {
    let sent = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 5.6.7.8\r\n\
                X-Forwarded-Host: evil.test\r\nX-Via: first\r\n";
    let seen = body(&ask_with(port, path, sent));
    let mut lines: Vec<String> = seen
        .lines()
        .filter(|line| line.starts_with("X-"))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn the_upstream_is_told_where_a_request_came_from() {
    let port = free_port();
    let echo = echo::start();
    let site = host(
        "site",
        port,
        r#"
  locations:
    - { path: /append, proxy: { upstream: echo, forwarded: { host: true } } }
    - { path: /replace, proxy: { upstream: echo, forwarded: { policy: replace, port: true } } }
    - { path: /remove, proxy: { upstream: echo, forwarded: { policy: remove } } }
    - { path: /pass, proxy: { upstream: echo, forwarded: { policy: pass, trusted: [127.0.0.0/8] } } }
    - { path: /as-sent, proxy: { upstream: echo, forwarded: { policy: as_sent } } }
    - { path: /not-trusted, proxy: { upstream: echo, forwarded: { policy: as_sent, trusted: [192.0.2.0/24] } } }
    - { path: /stranger, proxy: { upstream: echo, forwarded: { policy: pass, trusted: [192.0.2.0/24] } } }
    - { path: /header, proxy: { upstream: echo, forwarded: { policy: remove }, request_headers: [{ name: X-Via, append: "edge $1" }] } }"#,
    );
    let Some(_nginx) = serving(&[site, upstream("echo", &[echo])]) else {
        return;
    };
    let via = "X-Via: first";
    for (path, told) in [
        (
            "/append",
            vec![
                "X-Forwarded-For: 1.2.3.4, 127.0.0.1",
                "X-Forwarded-Host: site.test",
                "X-Forwarded-Proto: http",
                "X-Real-IP: 127.0.0.1",
                via,
            ],
        ),
        ("/remove", vec![via]),
        (
            "/pass",
            vec![
                "X-Forwarded-For: 1.2.3.4",
                "X-Forwarded-Host: evil.test",
                "X-Forwarded-Proto: https",
                "X-Real-IP: 5.6.7.8",
                via,
            ],
        ),
        (
            "/as-sent",
            vec![
                "X-Forwarded-For: 1.2.3.4",
                "X-Forwarded-Host: evil.test",
                "X-Forwarded-Proto: https",
                "X-Real-IP: 5.6.7.8",
                via,
            ],
        ),
        (
            "/not-trusted",
            vec![
                "X-Forwarded-For: 127.0.0.1",
                "X-Forwarded-Host: evil.test",
                "X-Forwarded-Proto: http",
                "X-Real-IP: 127.0.0.1",
                via,
            ],
        ),
        (
            "/stranger",
            vec![
                "X-Forwarded-For: 127.0.0.1",
                "X-Forwarded-Host: evil.test",
                "X-Forwarded-Proto: http",
                "X-Real-IP: 127.0.0.1",
                via,
            ],
        ),
        ("/header", vec!["X-Via: first, edge $1"]),
    ] {
        assert_eq!(origin(port, path), told, "{path}");
    }
    let replaced = origin(port, "/replace");
    assert!(
        replaced.contains(&"X-Forwarded-For: 127.0.0.1".to_owned()),
        "{replaced:?}"
    );
    assert!(
        replaced.contains(&format!("X-Forwarded-Port: {port}")),
        "{replaced:?}"
    );
    let told = body(&ask(port, "/as-sent"));
    assert!(!told.contains("X-"), "{told}");
    // Nothing stands before the text if the client sent nothing.
    assert!(body(&ask(port, "/header")).contains("\nX-Via: edge $1\n"));
}

#[test]
fn responses_are_changed() {
    let (port, back) = (free_port(), free_port());
    let site = host(
        "site",
        port,
        r#"
  locations:
    - path: /
      proxy:
        upstream: back
        rewrite: { prefix: /v1/ }
        redirects: { rewrite: [{ from: /v1/, to: "https://shop.example.com/$a/" }, { from: "http://back.internal/", to: / }] }
        cookies:
          domains: [{ from: back.internal, to: shop.example.com }]
          paths: [{ from: /v1/, to: / }]
          flags: [{ cookie: id, secure: true, http_only: true, same_site: strict }]
        hide_headers: [X-Secret]
        pass_headers: [X-Accel-Expires]
    - { path: /plain/, proxy: { upstream: back, rewrite: { prefix: /v1/ }, redirects: as_sent } }"#,
    );
    let backend = host(
        "back",
        back,
        r#"
  locations:
    - { path: /v1/here, redirect: { to: /v1/new } }
    - { path: /v1/away, redirect: { to: "http://back.internal/x" } }
    - path: /v1/cookie
      respond: { status: 200, body: hello }
      response_headers:
        - { name: Set-Cookie, value: "id=1; Domain=back.internal; Path=/v1/deep" }
        - { name: X-Secret, value: hidden }
        - { name: X-Accel-Expires, value: "0" }"#,
    );
    let Some(_nginx) = serving(&[site, backend, upstream("back", &[back])]) else {
        return;
    };
    let location = |path: &str| header(&ask(port, path), "Location");
    assert_eq!(
        location("/here").as_deref(),
        Some("https://shop.example.com/$a/new")
    );
    assert!(
        location("/away").is_some_and(|to| to.ends_with("/x") && !to.contains("back.internal"))
    );
    assert_eq!(
        location("/plain/away").as_deref(),
        Some("http://back.internal/x")
    );
    let answer = ask(port, "/cookie");
    let cookie = header(&answer, "Set-Cookie").unwrap_or_default();
    let cookie = cookie.to_ascii_lowercase();
    for part in [
        "domain=shop.example.com",
        "path=/deep",
        "secure",
        "httponly",
        "samesite=strict",
    ] {
        assert!(cookie.contains(part), "{part} is not in {cookie}");
    }
    assert_eq!(header(&answer, "X-Secret"), None);
    assert!(header(&answer, "X-Accel-Expires").is_some());
    let plain = ask(port, "/plain/cookie");
    assert_eq!(header(&plain, "X-Secret").as_deref(), Some("hidden"));
    assert_eq!(header(&plain, "X-Accel-Expires"), None);
}

#[test]
fn another_server_is_asked() {
    let (port, back) = (free_port(), free_port());
    let echo = echo::start();
    let site = host(
        "site",
        port,
        "
  locations:
    - { path: /again, proxy: { upstream: both, retry: { on: [http_503], tries: 2 } } }
    - { path: /never, proxy: { upstream: both, retry: { on: [] } } }",
    );
    let failing = host(
        "failing",
        back,
        "
  locations: [{ path: /, respond: { status: 503 } }]",
    );
    let Some(_nginx) = serving(&[site, failing, upstream("both", &[back, echo])]) else {
        return;
    };
    let statuses = |path: &str| {
        let mut statuses: Vec<u16> = (0..4).map(|_| ask(port, path).status).collect();
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    };
    assert_eq!(statuses("/never"), [200, 503]);
    assert_eq!(statuses("/again"), [200]);
}

fn certificate(name: &str, pem: &str, key: &str) -> String {
    let block = |text: &str| text.trim().replace('\n', "\n    ");
    format!(
        "---\nkind: Certificate\nmetadata: {{ name: {name} }}\nspec:\n  certificate: |\n    {}\n  private_key: |\n    {}\n",
        block(pem),
        block(key)
    )
}

#[test]
fn the_upstream_has_to_prove_who_it_is() {
    let (port, back) = (free_port(), free_port());
    let tls = |path: &str, tls: &str| {
        format!(
            "\n    - {{ path: {path}, proxy: {{ upstream: back, scheme: https, tls: {{ {tls} }} }} }}"
        )
    };
    let site = host(
        "site",
        port,
        &format!(
            "\n  locations:{}{}{}{}",
            tls(
                "/right",
                "verify: { certificate: shop }, server_name: shop.example.com, protocols: [TLSv1.3]"
            ),
            tls(
                "/signer",
                "verify: { certificate: blog }, server_name: shop.example.com"
            ),
            tls(
                "/name",
                "verify: { certificate: shop }, server_name: shop.example.org"
            ),
            tls(
                "/unverified",
                "server_name: shop.example.org, certificate: blog"
            ),
        ),
    );
    let backend = format!(
        "---\nkind: VirtualHost\nmetadata: {{ name: back }}\nspec:\n  server_names: [back.test]\n  \
         listen: [{{ port: {back}, address: 127.0.0.1, tls: true, default_server: true }}]\n  \
         tls: {{ certificate: shop }}\n  locations: [{{ path: /, respond: {{ status: 200 }} }}]\n"
    );
    let documents = [
        site,
        backend,
        upstream("back", &[back]),
        certificate("shop", SHOP_CERTIFICATE, SHOP_KEY),
        certificate("blog", BLOG_CERTIFICATE, BLOG_KEY),
    ];
    let Some(_nginx) = serving(&documents) else {
        return;
    };
    for (path, status) in [
        ("/right", 200),
        ("/signer", 502),
        ("/name", 502),
        ("/unverified", 200),
    ] {
        assert_eq!(ask(port, path).status, status, "{path}");
    }
}

/// Takes one upgrade, and sends back in capitals what it gets then.
fn shouting() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let head = read_head(&mut stream).to_ascii_lowercase();
        let upgrades = head.contains("upgrade: websocket") && head.contains("connection: upgrade");
        let answer: &[u8] = if upgrades {
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        } else {
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
        };
        stream.write_all(answer).expect("answer");
        let mut word = [0; 5];
        stream.read_exact(&mut word).expect("a word");
        stream
            .write_all(&word.to_ascii_uppercase())
            .expect("answer");
    });
    port
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

#[test]
fn web_sockets_are_passed_both_ways() {
    let port = free_port();
    let site = host(
        "site",
        port,
        "\n  locations: [{ path: /socket, proxy: { upstream: back, websocket: true } }]",
    );
    let Some(_nginx) = serving(&[site, upstream("back", &[shouting()])]) else {
        return;
    };
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    stream
        .write_all(b"GET /socket HTTP/1.1\r\nHost: site.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        .expect("ask");
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream.write_all(b"hello").expect("say");
    let mut word = [0; 5];
    stream.read_exact(&mut word).expect("its answer");
    assert_eq!(&word, b"HELLO");
}
