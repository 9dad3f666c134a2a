//! Which requests get which action, asked of a real nginx.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::{
    echo, fastcgi_server,
    nginx::{free_port, get},
    site::{ask, ask_with, body, header, host, serving, upstream},
};

/// What comes back for a whole request of another method.
fn send(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    stream.write_all(request.as_bytes()).expect("ask");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_first_route_for_a_request_counts() {
    let port = free_port();
    let (echo, cgi) = (echo::start(), fastcgi_server::start());
    let site = host(
        "site",
        port,
        r#"
  response_headers: [{ name: X-Host, value: "yes" }]
  locations:
    - path: /api/
      response_headers: [{ name: X-Api, value: "yes" }]
      proxy: { upstream: echo }
      routes:
        - { when: { methods: [POST, PUT] }, fastcgi: { upstream: cgi, root: /srv } }
        - { when: { headers: [{ name: X-Version, value: 'v2.$' }, { name: X-Beta, pattern: '^(on|yes){1}$' }] }, respond: { status: 200, body: both } }
        - { when: { headers: [{ name: X-Version, value: 'v2.$' }] }, respond: { status: 200, body: version } }
        - { when: { query: [{ name: beta }] }, proxy: { upstream: echo, rewrite: { prefix: /v1/ } } }
        - { when: { query: [{ name: q, value: "a%20b" }] }, respond: { status: 200, body: query } }
        - { when: { cookies: [{ name: canary, value: always }, { name: stale, absent: true }] }, redirect: { prefix: /new/ } }
        - { when: { cookies: [{ name: broken }] }, respond: { status: 503, body: broken } }
    - path: /one
      match: exact
      respond: { status: 404 }
      routes: [{ when: { query: [{ name: flag }] }, proxy: { upstream: echo, rewrite: { prefix: /other } } }]"#,
    );
    let Some(_nginx) = serving(&[site, upstream("echo", &[echo]), upstream("cgi", &[cgi])]) else {
        return;
    };
    for (path, headers, starts) in [
        ("/api/x%2Fy?a=1", "", "GET /api/x%2Fy?a=1 "),
        ("/api/x", "X-Version: v2.$\r\nX-Beta: yes\r\n", "both"),
        ("/api/x", "X-Version: v2.$\r\n", "version"),
        ("/api/x", "X-Version: V2.$\r\n", "GET /api/x "),
        ("/api/x", "X-Version: v2.$x\r\n", "GET /api/x "),
        ("/api/x", "X-Beta: yes\r\n", "GET /api/x "),
        ("/api/a%20b?beta=1", "", "GET /v1/a%20b?beta=1 "),
        ("/api/x?beta=", "", "GET /api/x?beta= "),
        ("/api/x?q=a%20b", "", "query"),
        ("/api/x?q=a+b", "", "GET /api/x?q=a+b "),
        (
            "/api/x",
            "Cookie: canary=always; stale=1\r\n",
            "GET /api/x ",
        ),
        ("/one?flag=1", "", "GET /other?flag=1 "),
    ] {
        let answer = ask_with(port, path, headers);
        assert!(
            body(&answer).starts_with(starts),
            "{path} {headers}: {}",
            body(&answer)
        );
        if path.starts_with("/api/") {
            assert_eq!(header(&answer, "X-Api").as_deref(), Some("yes"), "{path}");
            assert_eq!(header(&answer, "X-Host").as_deref(), Some("yes"), "{path}");
        }
    }
    assert_eq!(ask(port, "/one").status, 404);
    let moved = ask_with(port, "/api/deep?x=1", "Cookie: a=b; canary=always\r\n");
    assert_eq!(moved.status, 302);
    assert_eq!(header(&moved, "Location").as_deref(), Some("/new/deep?x=1"));
    let broken = ask_with(port, "/api/x", "Cookie: broken=1\r\n");
    assert_eq!((broken.status, body(&broken)), (503, "broken".to_owned()));
    // The method and the body arrive whole.
    let text = "x".repeat(100_000);
    let answer = send(
        port,
        &format!(
            "POST /api/save HTTP/1.1\r\nHost: site.test\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        ),
    );
    assert!(answer.contains("REQUEST_METHOD=POST"), "{answer:.300}");
    assert!(
        answer.contains("SCRIPT_FILENAME=/srv/api/save\n"),
        "{answer:.300}"
    );
    assert!(answer.matches('x').count() > 100_000);
}

#[test]
fn limits_and_access_count_once_with_routes() {
    let port = free_port();
    let site = host(
        "site",
        port,
        "
  access: { rules: [{ deny: all }] }
  locations:
    - path: /limited
      access: { rules: [{ allow: all }] }
      rate_limit: { limits: [{ rate: 1r/m, burst: 2, without_delay: 2 }] }
      respond: { status: 200, body: own }
      routes: [{ when: { query: [{ name: b }] }, respond: { status: 200, body: route } }]
    - path: /closed
      respond: { status: 200 }
      routes: [{ when: { query: [{ name: b }] }, respond: { status: 200 } }]",
    );
    let Some(_nginx) = serving(&[site]) else {
        return;
    };
    let answers = ["", "?b=1", "", "?b=1", ""].map(|query| {
        let answer = ask(port, &format!("/limited{query}"));
        (answer.status, body(&answer))
    });
    let statuses = answers.each_ref().map(|(status, _)| *status);
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!((&*answers[0].1, &*answers[1].1), ("own", "route"));
    assert_eq!(ask(port, "/closed").status, 403);
    assert_eq!(ask(port, "/closed?b=1").status, 403);
}

#[test]
fn what_a_location_says_counts_for_all_its_routes() {
    let (port, nobody) = (free_port(), free_port());
    let site = host(
        "site",
        port,
        "
  locations:
    - path: /sorry
      error_pages: [{ codes: [502], send: { respond: { status: 503, body: sorry } } }]
      proxy: { upstream: nobody }
      routes: [{ when: { query: [{ name: b }] }, proxy: { upstream: nobody } }]
    - path: /later
      maintenance: { body: later }
      respond: { status: 200 }
      routes: [{ when: { query: [{ name: b }] }, respond: { status: 200 } }]
    - path: /blocked
      block: { user_agents: [evil] }
      respond: { status: 200 }
      routes: [{ when: { query: [{ name: b }] }, respond: { status: 201 } }]",
    );
    let Some(_nginx) = serving(&[site, upstream("nobody", &[nobody])]) else {
        return;
    };
    for query in ["", "?b=1"] {
        for (path, text) in [("/sorry", "sorry"), ("/later", "later")] {
            let answer = ask(port, &format!("{path}{query}"));
            assert_eq!(
                (answer.status, &*body(&answer)),
                (503, text),
                "{path}{query}"
            );
        }
        let path = format!("/blocked{query}");
        let blocked = ask_with(port, &path, "User-Agent: Evil/1\r\n");
        assert_eq!(blocked.status, 403, "{path}");
    }
    assert_eq!(ask(port, "/blocked?b=1").status, 201);
}

#[test]
fn requests_are_split_by_share_and_stay_where_they_are() {
    let (port, stable, canary) = (free_port(), free_port(), free_port());
    let answering = |name: &str, port| {
        host(
            name,
            port,
            &format!("  locations: [{{ path: /, respond: {{ status: 200, body: {name} }} }}]"),
        )
    };
    let site = host(
        "site",
        port,
        r#"
  locations:
    - { path: /part/, proxy: { upstream: stable, split: { key: { header: X-User }, shares: [{ upstream: canary, percent: 25 }] } } }
    - { path: /all/, proxy: { upstream: stable, split: { shares: [{ upstream: canary, percent: 100 }] } } }
    - { path: /cookie/, proxy: { upstream: stable, split: { key: { cookie: id }, shares: [{ upstream: canary, percent: 50 }] } } }
    - { path: /path/, proxy: { upstream: echo, rewrite: { prefix: /v1/ }, split: { shares: [{ upstream: echo2, percent: 50 }] } } }
    - { path: /plain/, proxy: { upstream: echo, split: { shares: [{ upstream: echo2, percent: 50 }] } } }"#,
    );
    let documents = [
        site,
        answering("stable", stable),
        answering("canary", canary),
        upstream("stable", &[stable]),
        upstream("canary", &[canary]),
        upstream("echo", &[echo::start()]),
        upstream("echo2", &[echo::start()]),
    ];
    let Some(_nginx) = serving(&documents) else {
        return;
    };
    let user = |number: usize| {
        body(&ask_with(
            port,
            "/part/",
            &format!("X-User: user-{number}\r\n"),
        ))
    };
    let went: Vec<String> = (0..400).map(user).collect();
    let to_canary = went.iter().filter(|name| *name == "canary").count();
    assert!(
        (60..140).contains(&to_canary),
        "{to_canary} of 400 went to the canary"
    );
    for (number, before) in went.iter().enumerate().take(40) {
        assert_eq!(&user(number), before, "user {number} stays");
    }
    for _ in 0..20 {
        assert_eq!(body(&ask(port, "/all/")), "canary");
    }
    let cookie = |id: usize| body(&ask_with(port, "/cookie/", &format!("Cookie: id={id}\r\n")));
    assert!((0..50).any(|id| cookie(id) == "canary"));
    assert!((0..50).any(|id| cookie(id) == "stable"));
    for (path, line) in [
        ("/path/a%20b?q=1", "GET /v1/a%20b?q=1 "),
        ("/plain/a%2Fb?q=1", "GET /plain/a%2Fb?q=1 "),
    ] {
        let seen = body(&get(port, "site.test", path.as_bytes()));
        assert!(seen.starts_with(line), "{path}: {seen}");
    }
}

#[test]
fn what_nginx_knows_decides_too() {
    let port = free_port();
    let site = host(
        "site",
        port,
        r#"
  locations:
    - path: /
      respond: { status: 200, body: others }
      routes:
        - { when: { variables: [{ name: server_protocol, value: HTTP/1.0 }] }, respond: { status: 200, body: old } }
        - { when: { variables: [{ name: scheme, value: https }] }, respond: { status: 200, body: secure } }
        - { when: { variables: [{ name: remote_addr, pattern: '^127\.' }], query: [{ name: near }] }, respond: { status: 200, body: near } }"#,
    );
    let Some(_nginx) = serving(&[site]) else {
        return;
    };
    assert_eq!(body(&ask(port, "/")), "others");
    assert_eq!(body(&ask(port, "/?near=1")), "near");
    let old = send(port, "GET / HTTP/1.0\r\nHost: site.test\r\n\r\n");
    assert!(old.ends_with("old"), "{old}");
}
