//! What is guarded stays guarded, whatever is said beside it.

use crate::{
    echo,
    nginx::{free_port, request},
    site::{ask, ask_with, body as text, serving_set as serving, site, status, upstream},
};

const USERS: &str = r#"{ users: { list: [{ name: anna, password_hash: "$apr1$5Gd0Y1Vj$FBeRSCQzhItn5L9gt9OnH0" }] } }"#;

#[test]
fn a_page_for_refusals_does_not_show_what_was_refused() {
    let backend = echo::start_with(|request| {
        let page = request.starts_with("GET /page ");
        ("200 OK", if page { "page" } else { "guarded" }.to_owned())
    });
    let port = free_port();
    let site = site(
        port,
        &format!(
            "
  error_pages: [{{ codes: [401, 403], send: {{ upstream: {{ upstream: backend, path: /page }} }} }}]
  locations:
    - {{ path: /password, basic_auth: {USERS}, proxy: {{ upstream: backend }} }}
    - {{ path: /closed, access: {{ rules: [{{ deny: all }}] }}, proxy: {{ upstream: backend }} }}"
        ),
        &upstream("backend", &[backend]),
    );
    let Some(_nginx) = serving(&site) else { return };
    for (path, status) in [("/password", 401), ("/closed", 403)] {
        let answer = ask(port, path);
        assert_eq!((answer.status, &*text(&answer)), (status, "page"), "{path}");
    }
}

#[test]
fn keys_are_told_apart_by_case() {
    let port = free_port();
    let site = site(
        port,
        "
  api_keys: { required: { from: { header: X-Api-Key }, list: [{ name: ci, secret: abcdefgh-ABCDEFGH_1 }] } }
  locations: [{ path: /, respond: { status: 200 } }]",
        "",
    );
    let Some(_nginx) = serving(&site) else { return };
    let with = |key: &str| ask_with(port, "/", &format!("X-Api-Key: {key}\r\n")).status;
    assert_eq!(with("abcdefgh-ABCDEFGH_1"), 200);
    for wrong in [
        "abcdefgh-abcdefgh_1",
        "ABCDEFGH-ABCDEFGH_1",
        "abcdefgh-ABCDEFGH_",
    ] {
        assert_eq!(with(wrong), 401, "{wrong}");
    }
    assert_eq!(status(port, "/"), 401);
}

/// The documentation of `api_keys` says that upstreams do not get keys.
#[test]
fn nobody_behind_nginx_gets_keys() {
    use std::sync::{Arc, Mutex};

    let seen = Arc::new(Mutex::new(Vec::new()));
    let tell = |who: &'static str| {
        let seen = Arc::clone(&seen);
        echo::start_with(move |request| {
            if let Ok(mut seen) = seen.lock() {
                seen.push((who, request.contains("ABCDEFGH")));
            }
            ("200 OK", String::new())
        })
    };
    let (backend, service, shadow) = (tell("backend"), tell("service"), tell("shadow"));
    let port = free_port();
    let site = site(
        port,
        "
  api_keys: { required: { from: { header: X-Api-Key }, list: [{ name: ci, secret: abcdefgh-ABCDEFGH_1 }] } }
  external_auth: { service: { upstream: service, path: /check } }
  mirror: { to: { upstream: shadow } }
  locations: [{ path: /, proxy: { upstream: backend } }]",
        &(upstream("backend", &[backend])
            + &upstream("service", &[service])
            + &upstream("shadow", &[shadow])),
    );
    let Some(_nginx) = serving(&site) else { return };
    assert_eq!(
        ask_with(port, "/", "X-Api-Key: abcdefgh-ABCDEFGH_1\r\n").status,
        200
    );
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let told = loop {
        let told = seen.lock().map(|it| it.clone()).unwrap_or_default();
        if told.len() >= 3 {
            break told;
        }
        assert!(std::time::Instant::now() < deadline, "{told:?} of 3 came");
        std::thread::yield_now();
    };
    assert!(
        told.iter().all(|(_, key)| !key),
        "who got the key: {told:?}"
    );
}

#[test]
fn other_origins_may_ask_for_leave_without_a_key() {
    let port = free_port();
    let site = site(
        port,
        "
  cors: { origins: [https://app.example.com], headers: [X-Api-Key] }
  api_keys: { required: { from: { header: X-Api-Key }, list: [{ name: ci, secret: abcdefgh-ABCDEFGH_1 }] } }
  locations: [{ path: /, respond: { status: 200 } }]",
        "",
    );
    let Some(_nginx) = serving(&site) else { return };
    let headers = "Origin: https://app.example.com\r\nAccess-Control-Request-Method: GET\r\n";
    let leave = request(port, "OPTIONS", "site.test", b"/", headers);
    assert_eq!(leave.status, 204);
    assert_eq!(ask_with(port, "/", headers).status, 401);
    let other = headers.replace("app.", "evil.");
    let refused = request(port, "OPTIONS", "site.test", b"/", &other);
    assert_eq!(refused.status, 401);
}
