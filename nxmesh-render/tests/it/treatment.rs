//! Who is turned away, and what is answered instead, asked of a real nginx.

use crate::{
    echo,
    nginx::{Answer, free_port, get_with, request},
    site::{ask, ask_with, body as text, header, serving_set as serving, site, status, upstream},
};

#[test]
fn clients_are_turned_away_by_address_and_by_what_they_say() {
    let port = free_port();
    let site = site(
        port,
        r#"
  block: { user_agents: ["evil[0-9]+", '^"quoted"; }$'], referers: [spam], status: 410 }
  locations:
    - { path: /, respond: { status: 200, body: open } }
    - { path: /here, block: { networks: [127.0.0.0/8] }, respond: { status: 200 } }
    - { path: /silent, block: { networks: [127.0.0.0/8, "::1"], status: 444 }, respond: { status: 200 } }
    - { path: /elsewhere, block: { networks: [192.0.2.0/24] }, respond: { status: 200 } }"#,
        "",
    );
    let Some(_nginx) = serving(&site) else { return };
    let with = |headers: &str| ask_with(port, "/", headers).status;
    assert_eq!(with(""), 200);
    assert_eq!(with("User-Agent: an EVIL7 one\r\n"), 410);
    assert_eq!(with("User-Agent: evil\r\n"), 200);
    assert_eq!(with("User-Agent: \"quoted\"; }\r\n"), 410);
    assert_eq!(with("Referer: http://spam.example/\r\n"), 410);
    assert_eq!(ask_with(port, "/missing", "Referer: spam\r\n").status, 410);
    assert_eq!(status(port, "/here"), 403);
    assert_eq!(status(port, "/elsewhere"), 200);
    let silent = std::panic::catch_unwind(|| status(port, "/silent"));
    assert!(silent.is_err(), "the connection was not closed: {silent:?}");
}

#[test]
fn maintenance_is_for_everybody_but_some() {
    let port = free_port();
    let site = site(
        port,
        r#"
  maintenance: { body: "back soon;\n$5", retry_after: 90s }
  locations:
    - { path: /, respond: { status: 200, body: open } }
    - { path: /old, redirect: { to: /new } }
    - { path: /health, maintenance: { enabled: false }, respond: { status: 200, body: well } }
    - { path: /mine, maintenance: { except: [127.0.0.1] }, respond: { status: 200, body: mine } }
    - { path: /theirs, maintenance: { except: [192.0.2.1] }, respond: { status: 200 } }"#,
        "",
    );
    let Some(_nginx) = serving(&site) else { return };
    for path in ["/", "/old", "/anything"] {
        let answer = ask(port, path);
        assert_eq!(
            (answer.status, text(&answer).as_str()),
            (503, "back soon;\n$5"),
            "{path}"
        );
        assert_eq!(header(&answer, "Retry-After").as_deref(), Some("90"));
    }
    assert_eq!(text(&ask(port, "/health")), "well");
    assert_eq!(text(&ask(port, "/mine")), "mine");
    assert_eq!(status(port, "/theirs"), 503);
}

/// What a site tells of itself it tells with each answer, whoever makes it.
#[test]
fn answers_of_nginx_itself_have_the_headers_of_their_place() {
    let backend = echo::start_with(|_| {
        let own = "Access-Control-Allow-Origin: *\r\n\r\npage";
        ("200 OK", own.to_owned())
    });
    let port = free_port();
    let site = site(
        port,
        r#"
  redirect_names: [www.site.test]
  response_headers: [{ name: X-Host, value: host, always: true }, { name: X-Often, value: seldom }]
  cors: { origins: [https://app.example.com] }
  behind_tls_proxy: { hsts: { max_age: 1d } }
  maintenance: { body: soon, retry_after: 90s, except: [127.0.0.2] }
  error_pages: [{ codes: [403], send: { respond: { status: 403, body: keep out } } }, { codes: [404], send: { upstream: { upstream: backend, path: /page } } }]
  locations:
    - { path: /, respond: { status: 200 } }
    - { path: /closed, maintenance: { enabled: false }, access: { rules: [{ deny: all }] }, respond: { status: 200 } }
    - { path: /gone, maintenance: { enabled: false }, respond: { status: 404 } }
    - path: /own/
      response_headers: [{ name: X-Own, value: own, always: true }]
      cors: { origins: [https://own.example.com] }
      respond: { status: 200 }
    - path: /own/closed
      response_headers: [{ name: X-Own, value: own, always: true }]
      cors: { origins: [https://own.example.com] }
      maintenance: { enabled: false }
      access: { rules: [{ deny: all }] }
      respond: { status: 200 }
    - path: /own/gone
      response_headers: [{ name: X-Own, value: own, always: true }]
      cors: { origins: [https://own.example.com] }
      maintenance: { enabled: false }
      static: { root: /nowhere }
    - path: /alone/
      own_response_headers_only: true
      response_headers: [{ name: X-Own, value: own, always: true }]
      respond: { status: 200 }"#,
        &upstream("backend", &[backend]),
    );
    let Some(_nginx) = serving(&site) else { return };
    let ask = |host: &str, path: &str, origin: &str| {
        let headers = format!("Origin: {origin}\r\nX-Forwarded-Proto: https\r\n");
        let answer = get_with(port, host, path.as_bytes(), &headers);
        let told = [
            "X-Host",
            "X-Own",
            "Access-Control-Allow-Origin",
            "Retry-After",
        ];
        let told = told.map(|name| header(&answer, name).unwrap_or_default());
        let hsts = header(&answer, "Strict-Transport-Security");
        assert_eq!(hsts.as_deref(), Some("max-age=86400"), "{host} {path}");
        (answer.status, told.join(" "))
    };
    let (app, own) = ("https://app.example.com", "https://own.example.com");
    for (path, origin, status, told) in [
        ("/", app, 503, format!("host  {app} 90")),
        ("/elsewhere", app, 503, format!("host  {app} 90")),
        ("/closed", app, 403, format!("host  {app} ")),
        ("/gone", app, 404, format!("host  {app} ")),
        ("/own/", own, 503, format!("host own {own} 90")),
        ("/own/", app, 503, "host own  90".to_owned()),
        ("/own/closed", own, 403, format!("host own {own} ")),
        ("/own/gone", own, 404, format!("host own {own} ")),
        ("/alone/", app, 503, format!(" own {app} 90")),
    ] {
        assert_eq!(ask("site.test", path, origin), (status, told), "{path}");
    }
    // As always, whoever is led elsewhere is told too.
    let led = ask("www.site.test", "/", app);
    assert_eq!(led, (308, format!("host  {app} ")));
}

fn preflight(port: u16, path: &str, origin: &str) -> Answer {
    let headers = format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n");
    request(port, "OPTIONS", "site.test", path.as_bytes(), &headers)
}

#[test]
fn other_origins_may_read_where_it_is_said() {
    let backend = echo::start_with(|_| {
        let own = "Access-Control-Allow-Origin: *\r\nX-Backend: yes\r\n\r\nbody";
        ("200 OK", own.to_owned())
    });
    let port = free_port();
    let site = site(
        port,
        r#"
  response_headers: [{ name: X-Host, value: host }]
  cors:
    origins: [https://app.example.com, "http://*.dev.example:8080"]
    methods: [PUT, DELETE]
    headers: [X-Token]
    expose: [X-Total]
    credentials: true
    max_age: 10m
  locations:
    - { path: /, proxy: { upstream: backend } }
    - { path: /closed, access: { rules: [{ deny: all }] }, proxy: { upstream: backend } }
    - { path: /any, cors: { origins: ["*"] }, respond: { status: 200 } }"#,
        &upstream("backend", &[backend]),
    );
    let Some(_nginx) = serving(&site) else { return };
    let origin = |answer: &Answer| header(answer, "Access-Control-Allow-Origin");
    let good = "https://app.example.com";
    for path in ["/", "/closed"] {
        let answer = preflight(port, path, good);
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(origin(&answer).as_deref(), Some(good));
        let told = |name: &str| header(&answer, &format!("Access-Control-{name}"));
        assert_eq!(told("Allow-Methods").as_deref(), Some("PUT, DELETE"));
        assert_eq!(told("Allow-Headers").as_deref(), Some("X-Token"));
        assert_eq!(told("Max-Age").as_deref(), Some("600"));
        assert_eq!(told("Allow-Credentials").as_deref(), Some("true"));
    }
    let read = ask_with(port, "/", &format!("Origin: {good}\r\n"));
    assert_eq!(origin(&read).as_deref(), Some(good));
    assert_eq!(header(&read, "Vary").as_deref(), Some("Origin"));
    assert_eq!(
        header(&read, "Access-Control-Expose-Headers").as_deref(),
        Some("X-Total")
    );
    assert_eq!(header(&read, "Access-Control-Allow-Methods"), None);
    assert_eq!(header(&read, "X-Host").as_deref(), Some("host"));
    assert_eq!(header(&read, "X-Backend").as_deref(), Some("yes"));
    let dev = "http://a-b.dev.example:8080";
    assert_eq!(origin(&preflight(port, "/", dev)).as_deref(), Some(dev));
    for bad in [
        "https://app.example.com.evil.example",
        "https://appXexample.com",
        "http://app.example.com",
        "http://a.b.dev.example:8080",
        "http://.dev.example:8080",
        "null",
        "evil https://app.example.com",
    ] {
        let answer = preflight(port, "/", bad);
        assert_ne!(answer.status, 204, "{bad}");
        for answer in [answer, ask_with(port, "/", &format!("Origin: {bad}\r\n"))] {
            assert_eq!(origin(&answer), None, "{bad}");
            assert_eq!(header(&answer, "Access-Control-Allow-Credentials"), None);
        }
    }
    assert_eq!(origin(&ask(port, "/any")).as_deref(), Some("*"));
    assert_eq!(
        header(&ask(port, "/any"), "X-Host").as_deref(),
        Some("host")
    );
    assert_eq!(
        ask_with(port, "/closed", &format!("Origin: {good}\r\n")).status,
        403
    );
}

#[test]
fn errors_are_answered_as_it_is_said() {
    let backend = echo::start_with(|request| {
        if request.starts_with("GET /teapot") {
            ("418 Teapot", "a teapot".to_owned())
        } else if request.starts_with("GET /broken") {
            ("500 Broken", "broken".to_owned())
        } else {
            ("200 OK", format!("page for {request}"))
        }
    });
    let port = free_port();
    let site = site(
        port,
        r#"
  error_pages:
    - { codes: [404], send: { respond: { status: 404, body: "nothing; \"here\"", content_type: text/html } } }
    - { codes: [403], send: { upstream: { upstream: backend, path: "/page?of=errors" } } }
    - { codes: [500, 502], send: { redirect: "https://status.example.com/?a=b" } }
  locations:
    - { path: /teapot, proxy: { upstream: backend } }
    - { path: /broken, proxy: { upstream: backend } }
    - { path: /broken/told, intercept_errors: true, proxy: { upstream: backend } }
    - { path: /gone, proxy: { upstream: nobody } }
    - { path: /closed, access: { rules: [{ deny: all }] }, respond: { status: 200 } }
    - { path: /moved, error_pages: [{ codes: [403], send: { redirect: "/new?a=$b" } }], access: { rules: [{ deny: all }] }, respond: { status: 200 } }
    - path: /own
      error_pages: [{ codes: [403], send: { respond: { status: 200, body: own } } }]
      access: { rules: [{ deny: all }] }
      respond: { status: 200 }"#,
        &(upstream("backend", &[backend]) + &upstream("nobody", &[free_port()])),
    );
    let Some(_nginx) = serving(&site) else { return };
    let missing = ask(port, "/missing");
    assert_eq!(
        (missing.status, text(&missing).as_str()),
        (404, "nothing; \"here\"")
    );
    assert_eq!(
        header(&missing, "Content-Type").as_deref(),
        Some("text/html")
    );
    let closed = ask(port, "/closed");
    assert_eq!(closed.status, 403, "the status of the error");
    assert!(
        text(&closed).starts_with("page for GET /page?of=errors HTTP/1.1"),
        "{}",
        text(&closed)
    );
    let gone = ask(port, "/gone");
    assert_eq!(gone.status, 302);
    assert_eq!(
        header(&gone, "Location").as_deref(),
        Some("https://status.example.com/?a=b")
    );
    let moved = get_with(port, "site.test:8080", b"/moved", "");
    assert_eq!(moved.status, 302);
    let here = "http://site.test:8080/new?a=$b";
    assert_eq!(header(&moved, "Location").as_deref(), Some(here));
    assert_eq!(text(&ask(port, "/teapot")), "a teapot");
    assert_eq!(text(&ask(port, "/broken")), "broken");
    assert_eq!(status(port, "/broken/told"), 302);
    assert_eq!(text(&ask(port, "/own")), "own");
}

#[test]
fn an_error_is_told_with_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("write it");
        path.display().to_string()
    };
    let missing = file("not found.html", "<p>not here</p>");
    let closed = file("closed", "keep out");
    let port = free_port();
    let site = site(
        port,
        &format!(
            r#"
  error_pages:
    - {{ codes: [404], send: {{ file: "{missing}" }} }}
    - {{ codes: [401, 403], send: {{ file: "{closed}" }} }}
    - {{ codes: [410], send: {{ file: /nowhere/at/all.html }} }}
  locations:
    - {{ path: /closed, access: {{ rules: [{{ deny: all }}] }}, respond: {{ status: 200 }} }}
    - {{ path: /gone, respond: {{ status: 410 }} }}"#
        ),
        "",
    );
    let Some(_nginx) = serving(&site) else { return };
    let answer = ask(port, "/missing");
    assert_eq!(
        (answer.status, text(&answer).as_str()),
        (404, "<p>not here</p>")
    );
    assert_eq!(
        header(&answer, "Content-Type").as_deref(),
        Some("text/html")
    );
    let answer = ask(port, "/closed");
    assert_eq!((answer.status, text(&answer).as_str()), (403, "keep out"));
    let gone = ask(port, "/gone");
    assert_eq!(gone.status, 410, "its file is not there");
    let asked = request(
        port,
        "POST",
        "site.test",
        b"/closed",
        "Content-Length: 0\r\n",
    );
    assert_eq!((asked.status, text(&asked).as_str()), (403, "keep out"));
}

#[test]
fn copies_of_requests_go_elsewhere() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    let copies = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&copies);
    let shadow = echo::start_with(move |request| {
        assert!(request.starts_with("GET /some?a=b"), "{request}");
        seen.fetch_add(1, Ordering::SeqCst);
        ("200 OK", String::new())
    });
    let backend = echo::start();
    let port = free_port();
    let site = site(
        port,
        "
  mirror: { to: { upstream: shadow } }
  locations:
    - { path: /some, proxy: { upstream: backend } }
    - { path: /none, mirror: none, proxy: { upstream: backend } }
    - { path: /few, mirror: { to: { upstream: shadow, percent: 0.01%, body: false } }, proxy: { upstream: backend } }",
        &(upstream("shadow", &[shadow]) + &upstream("backend", &[backend])),
    );
    let Some(_nginx) = serving(&site) else { return };
    assert_eq!(status(port, "/none"), 200);
    for _ in 0..5 {
        assert!(text(&ask(port, "/some?a=b")).starts_with("GET /some?a=b"));
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while copies.load(Ordering::SeqCst) < 5 {
        assert!(std::time::Instant::now() < deadline, "{copies:?} of 5 came");
        std::thread::yield_now();
    }
    assert_eq!(status(port, "/few"), 200);
    assert_eq!(copies.load(Ordering::SeqCst), 5);
}

#[test]
fn the_address_of_a_client_comes_from_whom_is_trusted() {
    let backend = echo::start();
    let port = free_port();
    let site = site(
        port,
        "
  real_ip: { trusted: [127.0.0.0/8, 192.0.2.0/24] }
  locations:
    - { path: /, proxy: { upstream: backend } }",
        &upstream("backend", &[backend]),
    );
    let Some(_nginx) = serving(&site) else { return };
    let seen = |path: &str, headers: &str| {
        let answer = text(&ask_with(port, path, headers));
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("X-Real-IP: "));
        line.unwrap_or_default().to_owned()
    };
    let chain = "X-Forwarded-For: 198.51.100.9, 203.0.113.7, 192.0.2.1\r\n";
    assert_eq!(seen("/", chain), "203.0.113.7");
    assert_eq!(seen("/", ""), "127.0.0.1");
}

#[test]
fn clients_come_back_to_the_same_server() {
    let server = |name: &'static str| echo::start_with(move |_| ("200 OK", name.to_owned()));
    let port = free_port();
    let upstream = format!(
        "kind: Upstream\nmetadata: {{ name: backend }}\nspec:\n  affinity: {{ cookie: route }}\n  \
         servers: [{{ address: \"127.0.0.1:{}\" }}, {{ address: \"127.0.0.1:{}\" }}]\n",
        server("one"),
        server("two")
    );
    let site = site(
        port,
        "  locations: [{ path: /, proxy: { upstream: backend } }]",
        &upstream,
    );
    let Some(_nginx) = serving(&site) else { return };
    let mut chosen = std::collections::BTreeSet::new();
    for client in 0..20 {
        let cookie = format!("Cookie: route=client{client}\r\n");
        let first = text(&ask_with(port, "/", &cookie));
        for _ in 0..3 {
            assert_eq!(text(&ask_with(port, "/", &cookie)), first);
        }
        chosen.insert(first);
    }
    assert_eq!(chosen.len(), 2, "all went to {chosen:?}");
}
