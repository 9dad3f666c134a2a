//! Who gets in by what they know, or by what another service says, asked of a real nginx.

use crate::{
    echo,
    nginx::{free_port, get_with, request},
    site::{ask, ask_with, body as text, header, serving_set as serving, site, status, upstream},
};

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
