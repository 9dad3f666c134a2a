//! What nginx keeps over a reload: zones that change have to be other zones, or nginx
//! refuses them and serves what it had.

use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use nxmesh_core::model::ResourceSet;

use crate::{
    echo,
    nginx::{Nginx, Staged, binary, free_port},
    site::{ask, ask_with, body, header, resources, site, status, upstream},
};

fn serving(resources: &ResourceSet) -> Option<Nginx> {
    let staged = Staged::new(binary()?, resources);
    staged.assert_accepted("the site");
    Some(staged.start_with_worker())
}

#[test]
fn another_key_or_size_of_a_rate_limit_counts_anew() {
    let port = free_port();
    let with = |limit: &str| {
        let limit = format!(
            "  rate_limit: {{ limits: [{{ rate: 1r/m, {limit} }}] }}\n  \
             locations: [{{ path: /, respond: {{ status: 200 }} }}]"
        );
        site(port, &limit, "")
    };
    let Some(nginx) = serving(&with("key: remote_addr")) else {
        return;
    };
    let asked = |key: &str| ask_with(port, "/", &format!("X-Key: {key}\r\n")).status;
    assert_eq!((asked("a"), asked("b")), (200, 429));
    nginx.reload(&with("key: { header: X-Key }"), "by-key");
    assert_eq!((asked("a"), asked("b"), asked("a")), (200, 200, 429));
    nginx.reload(&with("key: { header: X-Key }, zone_size: 1m"), "smaller");
    assert_eq!((asked("a"), asked("a")), (200, 429));
}

/// Answers to `/held` that wait until they are let go.
#[derive(Default)]
struct Gate {
    asked: AtomicUsize,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut open = self.open.lock().expect("the gate");
        while !*open {
            open = self.opened.wait(open).expect("the gate");
        }
    }

    fn set(&self, open: bool) {
        *self.open.lock().expect("the gate") = open;
        self.opened.notify_all();
    }
}

#[test]
fn another_key_or_size_of_a_connection_limit_counts_anew() {
    let gate = Arc::new(Gate::default());
    let at_gate = Arc::clone(&gate);
    let backend = echo::start_with(move |request| {
        if request.starts_with("GET /held") {
            at_gate.pass();
        }
        ("200 OK", "done".to_owned())
    });
    let port = free_port();
    let with = |limit: &str| {
        let limit = format!(
            "  connection_limit: {{ limits: [{{ connections: 1, {limit} }}] }}\n  \
             locations: [{{ path: /, proxy: {{ upstream: backend }} }}]"
        );
        site(port, &limit, &upstream("backend", &[backend]))
    };
    let asked = |path: &str, key: &str| ask_with(port, path, &format!("X-Key: {key}\r\n")).status;
    // What another request gets while one with the key `a` is held.
    let beside = |key: &str| {
        gate.set(false);
        let before = gate.asked.load(Ordering::SeqCst);
        std::thread::scope(|scope| {
            let held = scope.spawn(|| asked("/held", "a"));
            while gate.asked.load(Ordering::SeqCst) == before && !held.is_finished() {
                std::thread::yield_now();
            }
            let status = asked("/", key);
            gate.set(true);
            assert_eq!(held.join().expect("an answer"), 200);
            status
        })
    };
    let Some(nginx) = serving(&with("key: remote_addr")) else {
        return;
    };
    assert_eq!(beside("b"), 429);
    nginx.reload(&with("key: { header: X-Key }"), "by-key");
    assert_eq!((beside("b"), beside("a")), (200, 429));
    nginx.reload(&with("key: { header: X-Key }, zone_size: 1m"), "smaller");
    assert_eq!((beside("b"), beside("a")), (200, 429));
}

#[test]
fn another_key_or_size_of_a_cache_is_another_cache() {
    let backend = echo::start();
    let port = free_port();
    let with = |rules: &str| {
        let rules = format!(
            "  cache: {{ rules: {{ valid: [{{ time: 1h }}], status_header: true, {rules} }} }}\n  \
             locations: [{{ path: /, proxy: {{ upstream: backend }} }}]"
        );
        site(port, &rules, &upstream("backend", &[backend]))
    };
    let Some(nginx) = serving(&with("max_size: 10m")) else {
        return;
    };
    let found = |headers: &str| header(&ask_with(port, "/a", headers), "X-Cache-Status");
    let (miss, hit) = (Some("MISS".to_owned()), Some("HIT".to_owned()));
    assert_eq!((found(""), found("")), (miss.clone(), hit.clone()));
    nginx.reload(&with("max_size: 10m, lock: true"), "the-same");
    assert_eq!(found(""), hit, "what is the same cache is kept");
    nginx.reload(&with("key: [{ cookie: theme }]"), "by-theme");
    assert_eq!((found(""), found("")), (miss.clone(), hit.clone()));
    assert_eq!(found("Cookie: theme=dark\r\n"), miss);
    nginx.reload(&with("key: [{ cookie: theme }], zone_size: 1m"), "smaller");
    assert_eq!((found(""), found("")), (miss, hit));
}

#[test]
fn an_upstream_of_another_size_serves() {
    let backends =
        ["one", "two", "three"].map(|name| echo::start_with(move |_| ("200 OK", name.to_owned())));
    let port = free_port();
    let with = |spec: &str| {
        let upstream =
            format!("---\nkind: Upstream\nmetadata: {{ name: backend }}\nspec: {{ {spec} }}\n");
        let locations = "  locations: [{ path: /, proxy: { upstream: backend } }]";
        resources(&(crate::site::host("site", port, locations) + &upstream))
    };
    let servers = |ports: &[u16]| {
        let servers = ports
            .iter()
            .map(|port| format!("{{ address: \"127.0.0.1:{port}\" }}"));
        format!("servers: [{}]", servers.collect::<Vec<_>>().join(", "))
    };
    let Some(nginx) = serving(&with(&servers(&backends[..2]))) else {
        return;
    };
    let seen = || {
        let mut seen: Vec<String> = (0..6).map(|_| body(&ask(port, "/"))).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    };
    assert_eq!(seen(), ["one", "two"]);
    nginx.reload(
        &with(&format!("zone_size: 1m, {}", servers(&backends[1..]))),
        "larger",
    );
    assert_eq!(seen(), ["three", "two"]);
    nginx.reload(
        &with(&format!("balance: ip_hash, {}", servers(&backends[..1]))),
        "one",
    );
    assert_eq!(seen(), ["one"]);
    assert_eq!(status(port, "/"), 200);
}
