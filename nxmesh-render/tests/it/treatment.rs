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
fn another_service_decides() {
    let service = echo::start_with(|request| {
        let has = |line: &str| request.lines().any(|it| it.eq_ignore_ascii_case(line));
        assert!(
            request.starts_with("GET /check?all=1 HTTP/1.1"),
            "{request}"
        );
        assert!(has("X-Original-Method: GET"), "{request}");
        if has("Authorization: good") {
            assert!(
                has("X-Original-URI: /private?a=b") || has("X-Original-URI: /fixed"),
                "{request}"
            );
            ("200 OK", "X-User: anna\r\n\r\n".to_owned())
        } else if has("Authorization: known") {
            ("403 No", String::new())
        } else {
            ("401 Who", String::new())
        }
    });
    let backend = echo::start();
    let port = free_port();
    let site = site(
        port,
        r#"
  external_auth:
    service: { upstream: service, path: "/check?all=1", copy_headers: [X-User], sign_in: "https://login.example.com/?back=" }
  locations:
    - { path: /private, proxy: { upstream: backend } }
    - { path: /fixed, respond: { status: 200, body: fixed } }
    - { path: /public, external_auth: none, proxy: { upstream: backend } }
    - path: /either
      satisfy: any
      access: { rules: [{ allow: 127.0.0.1 }, { deny: all }] }
      proxy: { upstream: backend }"#,
        &(upstream("service", &[service]) + &upstream("backend", &[backend])),
    );
    let Some(_nginx) = serving(&site) else { return };
    let good = ask_with(
        port,
        "/private?a=b",
        "Authorization: good\r\nX-User: forged\r\n",
    );
    assert_eq!(good.status, 200);
    assert!(text(&good).contains("X-User: anna"), "{}", text(&good));
    assert!(!text(&good).contains("forged"), "{}", text(&good));
    assert_eq!(
        ask_with(port, "/private", "Authorization: known\r\n").status,
        403
    );
    let stranger = ask(port, "/private?a=b");
    assert_eq!(stranger.status, 302);
    let back = "https://login.example.com/?back=http://site.test/private?a=b";
    assert_eq!(header(&stranger, "Location").as_deref(), Some(back));
    assert_eq!(
        status(port, "/fixed"),
        302,
        "a fixed response is guarded too"
    );
    assert_eq!(
        text(&ask_with(port, "/fixed", "Authorization: good\r\n")),
        "fixed"
    );
    assert_eq!(status(port, "/public"), 200);
    assert_eq!(status(port, "/either"), 200, "the address is enough");
    assert_eq!(status(port, "/.nxmesh/auth/x"), 404);
}

/// What a server takes out of the query of a URL (WHATWG URL Standard,
/// `application/x-www-form-urlencoded` parsing).
fn parameters(url: &str) -> Vec<(String, String)> {
    let query = url.split('#').next().unwrap_or_default();
    let query = query.split_once('?').map_or("", |(_, query)| query);
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        let mut parts = text.split('%');
        let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            let (code, rest) = part.split_at(2);
            bytes.push(u8::from_str_radix(code, 16).expect("a code"));
            bytes.extend(rest.as_bytes());
        }
        String::from_utf8(bytes).expect("text")
    };
    let parameters = query.split('&');
    let parameters = parameters.map(|it| it.split_once('=').unwrap_or((it, "")));
    parameters
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

#[test]
fn who_signs_in_comes_back_to_what_they_asked_for_and_leads_nowhere_else() {
    let service = echo::start_with(|_| ("401 Who", String::new()));
    let port = free_port();
    let site = site(
        port,
        r#"
  behind_tls_proxy: {}
  external_auth:
    service: { upstream: service, path: /check, sign_in: "https://login.example.com/?site=$5&back=" }
  locations:
    - { path: /, respond: { status: 200 } }
    - { path: /here, external_auth: { service: { upstream: service, path: /check, sign_in: "/login?back=" } }, respond: { status: 200 } }"#,
        &upstream("service", &[service]),
    );
    let Some(_nginx) = serving(&site) else { return };
    let led = |path: &str, host: &str, headers: &str| {
        let answer = get_with(port, host, path.as_bytes(), headers);
        assert_eq!(answer.status, 302, "{path}");
        header(&answer, "Location").expect("where to")
    };
    let many = |count: usize, what: &str| format!("/many?a{}", what.repeat(count));
    let same = |path: &str| (path.to_owned(), path.to_owned());
    for (asked, back) in [
        same("/"),
        same("/a?b=c"),
        same("/a?b=c&back=https://evil.example/&d"),
        same("/a&back=https://evil.example/"),
        same("//evil.example/?x"),
        same("/a%20b/%26%23%3f%2F?x=%2B&y=a+b+%C3%A9"),
        same(&many(16, "&b=1")),
        same(&many(8, "%26")),
        same(&many(8, "+b")),
        // What cannot be said is left out, or as it was sent.
        (many(17, "&b=1"), "/many".to_owned()),
        ("/&".repeat(20), "/".to_owned()),
        (many(9, "+b"), format!("/many?a{}", " b".repeat(9))),
        (many(9, "%C3%A9"), format!("/many?a{}", "é".repeat(9))),
        ("/a#&back=https://evil.example/".to_owned(), "/a".to_owned()),
    ] {
        let to = led(&asked, "site.test", "");
        let expected = [
            ("site".to_owned(), "$5".to_owned()),
            ("back".to_owned(), format!("http://site.test{back}")),
        ];
        assert!(to.starts_with("https://login.example.com/?site="), "{to}");
        assert_eq!(parameters(&to), expected, "{asked} {to}");
    }
    let back = |host: &str, headers: &str| {
        let found = parameters(&led("/", host, headers));
        found.into_iter().nth(1).expect("where they came from").1
    };
    assert_eq!(back("site.test:8443", ""), "http://site.test:8443/");
    assert_eq!(back("site.test:8443x", ""), "http://site.test/");
    let secure = "X-Forwarded-Proto: https\r\n";
    assert_eq!(back("site.test:8443", secure), "https://site.test:8443/");
    let odd = "X-Forwarded-Proto: javascript\r\n";
    assert_eq!(back("site.test", odd), "http://site.test/");
    assert_eq!(
        led("/here?a&b", "site.test:81", ""),
        "http://site.test:81/login?back=http://site.test:81/here?a%26b"
    );
}

#[test]
fn another_service_is_asked_with_another_method() {
    let service = echo::start_with(|request| {
        let asked = request.starts_with("HEAD /check HTTP/1.1");
        (if asked { "200 OK" } else { "403 No" }, String::new())
    });
    let port = free_port();
    let site = site(
        port,
        "
  external_auth: { service: { upstream: service, path: /check, method: HEAD } }
  locations:
    - { path: /, respond: { status: 200 } }
    - { path: /get, external_auth: { service: { upstream: service, path: /check } }, respond: { status: 200 } }",
        &upstream("service", &[service]),
    );
    let Some(_nginx) = serving(&site) else { return };
    let length = "Content-Length: 0\r\n";
    let posted = request(port, "POST", "site.test", b"/", length);
    assert_eq!((status(port, "/"), posted.status), (200, 200));
    assert_eq!(status(port, "/get"), 403);
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
fn people_know_passwords_and_programs_show_keys() {
    let backend = echo::start();
    let port = free_port();
    let site = site(
        port,
        r#"
  basic_auth: { users: { realm: "Staff; only", list: [{ name: anna, password_hash: "HASH" }] } }
  locations:
    - { path: /, respond: { status: 200, body: inside } }
    - { path: /limited, rate_limit: { limits: [{ rate: 1000r/s, burst: 10 }] }, respond: { status: 200, body: inside } }
    - { path: /open, basic_auth: none, respond: { status: 200, body: open } }
    - path: /api
      basic_auth: none
      api_keys:
        required:
          from: { header: X-Api-Key }
          list:
            - { name: ci, secret: abcdefgh-ABCDEFGH_1 }
            - { name: default, secret: 0123456789abcdef }
          status: 403
          name_header: X-Client
      proxy: { upstream: backend }
    - path: /query
      basic_auth: none
      api_keys: { required: { from: { query: key }, list: [{ name: ci, secret: abcdefgh-ABCDEFGH_1 }] } }
      respond: { status: 200, body: keyed }"#
            .replace("HASH", "$apr1$5Gd0Y1Vj$FBeRSCQzhItn5L9gt9OnH0")
            .as_str(),
        &upstream("backend", &[backend]),
    );
    let Some(_nginx) = serving(&site) else { return };
    // anna:wonderland and anna:oz
    let good = "Authorization: Basic YW5uYTp3b25kZXJsYW5k\r\n";
    let bad = "Authorization: Basic YW5uYTpveg==\r\n";
    let stranger = ask(port, "/");
    assert_eq!(stranger.status, 401);
    let asked = header(&stranger, "WWW-Authenticate");
    assert_eq!(asked.as_deref(), Some("Basic realm=\"Staff; only\""));
    assert_eq!(ask_with(port, "/", bad).status, 401);
    assert_eq!(text(&ask_with(port, "/", good)), "inside");
    assert_eq!(
        status(port, "/limited"),
        401,
        "its own limits do not open it"
    );
    assert_eq!(text(&ask_with(port, "/limited", good)), "inside");
    assert_eq!(text(&ask(port, "/open")), "open");
    assert_eq!(status(port, "/api"), 403);
    for wrong in [
        "abcdefgh-abcdefgh_1",
        "abcdefgh-ABCDEFGH_",
        "abcdefgh-ABCDEFGH_1x",
        "x",
        "",
    ] {
        let answer = ask_with(port, "/api", &format!("X-Api-Key: {wrong}\r\n"));
        assert_eq!(answer.status, 403, "{wrong}");
    }
    let keyed = ask_with(
        port,
        "/api",
        "X-Api-Key: abcdefgh-ABCDEFGH_1\r\nX-Client: forged\r\n",
    );
    assert_eq!(keyed.status, 200);
    assert!(text(&keyed).contains("X-Client: ci"), "{}", text(&keyed));
    assert!(!text(&keyed).contains("forged"), "{}", text(&keyed));
    assert!(
        !text(&keyed).contains("ABCDEFGH"),
        "upstreams get no keys: {}",
        text(&keyed)
    );
    let other = ask_with(port, "/api", "X-Api-Key: 0123456789abcdef\r\n");
    assert!(
        text(&other).contains("X-Client: default"),
        "{}",
        text(&other)
    );
    assert_eq!(text(&ask(port, "/query?key=abcdefgh-ABCDEFGH_1")), "keyed");
    assert_eq!(status(port, "/query?key=abcdefgh-ABCDEFGH_2"), 401);
    let shown = crate::traffic::rendered(&site);
    for secret in [
        "abcdefgh-ABCDEFGH_1",
        "$apr1$5Gd0Y1Vj$FBeRSCQzhItn5L9gt9OnH0",
    ] {
        assert!(!shown.contains(secret), "the tree shows {secret}");
        for (_, resource) in site.iter() {
            assert!(!resource.redacted().to_string().contains(secret));
        }
    }
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
