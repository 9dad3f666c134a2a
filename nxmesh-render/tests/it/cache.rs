//! What is kept of responses, asked of a real nginx.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    echo, fastcgi_server,
    nginx::{free_port, request},
    site::{ask, ask_with, body as text, header, serving_set as serving, site, upstream},
};

/// A server that counts its requests, and says how many there were.
fn counting() -> u16 {
    counting_from(0)
}

fn counting_from(first: usize) -> u16 {
    let count = Arc::new(AtomicUsize::new(first));
    echo::start_with(move |_| {
        let seen = count.fetch_add(1, Ordering::SeqCst) + 1;
        ("200 OK", format!("X-Seen: {seen}\r\n\r\n{seen}"))
    })
}

#[test]
fn responses_are_kept_by_their_key() {
    let port = free_port();
    let rules = "max_size: 10m, valid: [{ statuses: [200], time: 1h }], status_header: true";
    let site = site(
        port,
        &format!(
            "
  response_headers: [{{ name: X-Host, value: host }}]
  cache: {{ rules: {{ {rules}, key: [{{ header: Accept-Language }}], bypass: [{{ cookie: session }}, {{ query: fresh }}] }} }}
  locations:
    - {{ path: /, proxy: {{ upstream: backend }} }}
    - {{ path: /never, cache: none, proxy: {{ upstream: backend }} }}
    - {{ path: /renewed, cache: {{ rules: {{ {rules}, renew: [{{ header: X-Renew }}], not_kept: [{{ header: X-Secret }}], lock: true, lock_timeout: 2s, lock_age: 3s }} }}, proxy: {{ upstream: backend }} }}
    - {{ path: /own, cache: {{ rules: {{ {rules}, min_uses: 2 }} }}, proxy: {{ upstream: backend }} }}"
        ),
        &upstream("backend", &[counting()]),
    );
    let Some(_nginx) = serving(&site) else { return };
    let body = |path: &str, headers: &str| text(&ask_with(port, path, headers));
    let first = body("/a", "");
    assert_eq!(body("/a", ""), first);
    let hit = ask(port, "/a");
    assert_eq!(header(&hit, "X-Cache-Status").as_deref(), Some("HIT"));
    assert_eq!(header(&hit, "X-Host").as_deref(), Some("host"));
    assert_ne!(body("/b", ""), first, "another path");
    assert_ne!(
        body("/a", "Accept-Language: de\r\n"),
        first,
        "another language"
    );
    assert_ne!(body("/a", "Cookie: session=1\r\n"), first, "a session");
    assert_ne!(body("/a?fresh=1", ""), first, "asked to be fresh");
    assert_eq!(body("/a", ""), first, "what bypasses is not kept");
    assert_ne!(body("/never", ""), body("/never", ""));
    let secret = body("/renewed", "X-Secret: 1\r\n");
    let first = body("/renewed", "");
    assert_ne!(first, secret, "it is not kept");
    assert_eq!(body("/renewed", "X-Secret: 1\r\n"), first);
    let renewed = body("/renewed", "X-Renew: 1\r\n");
    assert_ne!(renewed, first);
    assert_eq!(body("/renewed", ""), renewed);
    let own: Vec<String> = (0..3).map(|_| body("/own", "")).collect();
    assert_ne!(own[0], own[1]);
    assert_eq!(own[1], own[2], "kept from the second time on");
}

#[test]
fn what_upstreams_are_told_and_which_is_asked_tells_responses_apart() {
    let port = free_port();
    let rules = "max_size: 10m, valid: [{ time: 1h }]";
    let site = site(
        port,
        &format!(
            "
  cache: {{ rules: {{ {rules} }} }}
  locations:
    - path: /
      proxy: {{ upstream: backend }}
      routes:
        - {{ when: {{ headers: [{{ name: X-Canary, value: 'yes' }}] }}, proxy: {{ upstream: canary }} }}
        - {{ when: {{ headers: [{{ name: X-Tenant, value: beta }}] }}, proxy: {{ upstream: backend, request_headers: [{{ name: X-For, value: beta }}] }} }}
    - path: /people
      proxy: {{ upstream: backend }}
      basic_auth: {{ users: {{ list: [{{ name: ann, password_hash: '$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/' }}, {{ name: bob, password_hash: '$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/' }}] }} }}
    - path: /keys
      proxy: {{ upstream: backend }}
      api_keys:
        required:
          from: {{ header: X-Key }}
          name_header: X-Who
          list: [{{ name: ann, secret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }}, {{ name: bob, secret: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb }}]
    - {{ path: /posts, proxy: {{ upstream: backend }}, cache: {{ rules: {{ {rules}, methods: [POST] }} }} }}"
        ),
        &(upstream("backend", &[counting()]) + &upstream("canary", &[counting_from(1000)])),
    );
    let Some(_nginx) = serving(&site) else { return };
    let body = |path: &str, headers: &str| text(&ask_with(port, path, headers));
    let (stable, canary) = (body("/", ""), body("/", "X-Canary: yes\r\n"));
    assert_ne!(stable, canary);
    assert_eq!(body("/", ""), stable);
    assert_eq!(body("/", "X-Canary: yes\r\n"), canary);
    let beta = body("/", "X-Tenant: beta\r\n");
    assert_ne!(beta, stable);
    assert_eq!(body("/", "X-Tenant: beta\r\n"), beta);
    assert_eq!(body("/", ""), stable);
    // ann and bob have the same password.
    let by_ann = body("/people", "Authorization: Basic YW5uOnNlY3JldA==\r\n");
    assert_ne!(
        body("/people", "Authorization: Basic Ym9iOnNlY3JldA==\r\n"),
        by_ann
    );
    assert_eq!(
        body("/people", "Authorization: Basic YW5uOnNlY3JldA==\r\n"),
        by_ann
    );
    let key = |letter: &str| format!("X-Key: {}\r\n", letter.repeat(32));
    let ann = body("/keys", &key("a"));
    assert_ne!(body("/keys", &key("b")), ann);
    assert_eq!(body("/keys", &key("a")), ann);
    let post = |sent: &str| {
        let headers = format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n{sent}",
            sent.len()
        );
        text(&request(port, "POST", "site.test", b"/posts", &headers))
    };
    let posted = post("one");
    assert_eq!(post("one"), posted);
    assert_ne!(post("two"), posted);
    assert_ne!(body("/posts", ""), posted, "nobody posted anything");
    let long = "x".repeat(100_000);
    assert_ne!(post(&long), post(&long), "in no key");
}

#[test]
fn another_key_or_size_is_another_cache() {
    let zone = |rules: &str| {
        let site = site(
            8080,
            &format!(
                "  cache: {{ rules: {{ {rules} }} }}\n  locations: [{{ path: /, proxy: {{ upstream: backend }} }}]"
            ),
            &upstream("backend", &[1]),
        );
        let text = crate::traffic::rendered(&site);
        let start = text.find("proxy_cache nxmesh_cache_").expect("a cache");
        text[start..]
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let plain = zone("");
    assert_eq!(plain, zone("lock: true"));
    for other in [
        "key: [{ cookie: a }]",
        "zone_size: 1m",
        "max_size: 2g",
        "inactive: 1h",
    ] {
        assert_ne!(plain, zone(other), "{other}");
    }
}

#[test]
fn answers_of_fastcgi_servers_are_kept() {
    let port = free_port();
    let rules = "max_size: 10m, valid: [{ statuses: [200], time: 1h }], status_header: true";
    let site = site(
        port,
        &format!(
            "
  cache: {{ rules: {{ {rules}, use_stale: [error, http502], bypass: [{{ cookie: session }}] }} }}
  locations:
    - {{ path: /, fastcgi: {{ upstream: php, root: /srv, params: [{{ name: COUNTED, value: \"1\" }}] }} }}
    - {{ path: /proxied, proxy: {{ upstream: backend }} }}
    - {{ path: /never, cache: none, fastcgi: {{ upstream: php, root: /srv, params: [{{ name: COUNTED, value: \"1\" }}] }} }}
    - {{ path: /own, cache: {{ rules: {{ {rules}, min_uses: 2 }} }}, fastcgi: {{ upstream: php, root: /srv, params: [{{ name: COUNTED, value: \"1\" }}] }} }}"
        ),
        &(upstream("php", &[fastcgi_server::start()]) + &upstream("backend", &[counting()])),
    );
    let Some(_nginx) = serving(&site) else { return };
    let body = |path: &str, headers: &str| text(&ask_with(port, path, headers));
    let head = request(port, "HEAD", "site.test", b"/a.php", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let first = body("/a.php", "");
    assert!(first.contains("SCRIPT_NAME=/a.php"), "{first}");
    assert_eq!(body("/a.php", ""), first);
    let hit = ask(port, "/a.php");
    assert_eq!(header(&hit, "X-Cache-Status").as_deref(), Some("HIT"));
    assert_ne!(body("/a.php", "Cookie: session=1\r\n"), first, "a session");
    assert_ne!(body("/a.php?b", ""), first, "another query");
    assert_ne!(body("/never", ""), body("/never", ""));
    let own: Vec<String> = (0..3).map(|_| body("/own", "")).collect();
    assert_ne!(own[0], own[1]);
    assert_eq!(own[1], own[2], "kept from the second time on");
    assert_eq!(body("/proxied", ""), body("/proxied", ""));
}

/// nginx takes over each directive for itself; a field counts as a whole.
#[test]
fn a_cache_takes_nothing_over_from_further_out() {
    let backend = echo::start_with({
        let count = AtomicUsize::new(0);
        move |request| {
            let seen = count.fetch_add(1, Ordering::SeqCst);
            if request.starts_with("GET /expires") {
                ("200 OK", format!("Cache-Control: max-age=60\r\n\r\n{seen}"))
            } else {
                ("200 OK", format!("Cache-Control: no-store\r\n\r\n{seen}"))
            }
        }
    });
    let port = free_port();
    let site = site(
        port,
        "
  cache: { rules: { max_size: 10m, valid: [{ time: 1h }], min_uses: 3, bypass: [{ query: fresh }], ignore_headers: [Cache-Control] } }
  locations:
    - { path: /, proxy: { upstream: backend } }
    - { path: /accel, proxy: { upstream: backend, ignore_headers: [X-Accel-Redirect] } }
    - { path: /own, cache: { rules: { max_size: 10m } }, proxy: { upstream: backend } }
    - { path: /expires, cache: { rules: { max_size: 10m } }, proxy: { upstream: backend } }",
        &upstream("backend", &[backend]),
    );
    let Some(_nginx) = serving(&site) else { return };
    let body = |path: &str| text(&ask(port, path));
    for path in ["/", "/accel"] {
        let outer: Vec<String> = (0..4).map(|_| body(path)).collect();
        assert_ne!(outer[1], outer[2], "{path}: {outer:?}");
        assert_eq!(outer[2], outer[3], "{path}: {outer:?}");
    }
    assert_ne!(body("/own"), body("/own"), "it does not say how long");
    assert_eq!(
        body("/expires?fresh=1"),
        body("/expires?fresh=1"),
        "nor when not"
    );
}
