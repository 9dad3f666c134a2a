//! What is kept of responses, asked of a real nginx.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    echo,
    nginx::free_port,
    site::{ask, ask_with, body as text, header, serving_set as serving, site, upstream},
};

/// A server that counts its requests, and says how many there were.
fn counting() -> u16 {
    let count = Arc::new(AtomicUsize::new(0));
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
    let own: Vec<String> = (0..3).map(|_| body("/own", "")).collect();
    assert_ne!(own[0], own[1]);
    assert_eq!(own[1], own[2], "kept from the second time on");
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
