//! Addresses that are asked for again and again, by the nginx that can do so in an
//! upstream and by older ones.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nxmesh_core::{
    contract::renderer::{RenderSettings, Renderer as _},
    model::ResourceSet,
};
use nxmesh_render::HandlebarsRenderer;

use crate::{
    echo, fastcgi_server,
    nginx::{Staged, binaries, binary, free_port},
    site::{ask, body, header, host, resources},
    tls::Authority,
};

/// A name server that answers every question for an address with 127.0.0.N, for a
/// second; other questions with nothing.
fn name_server(last: Arc<AtomicU8>) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let port = socket.local_addr().expect("its address").port();
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((read, from)) = socket.recv_from(&mut packet) {
            // The header, the name up to its empty label, type and class (RFC 1035).
            let end = 12 + packet[12..read].iter().position(|it| *it == 0).unwrap_or(0) + 5;
            let mut answer = packet[..end].to_vec();
            let wants_address = packet[end - 3] == 1;
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, wants_address.into(), 0, 0, 0, 0]);
            if wants_address {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                answer.extend(Ipv4Addr::new(127, 0, 0, last.load(Ordering::SeqCst)).octets());
            }
            drop(socket.send_to(&answer, from));
        }
    });
    port
}

/// Two servers at the same port of 127.0.0.1 and 127.0.0.2, which say which they are.
fn twins() -> u16 {
    let first = echo::start_with(|request| ("200 OK", format!("one {request}")));
    let second = TcpListener::bind(("127.0.0.2", first)).expect("bind");
    echo::serve_on(second, |request| ("200 OK", format!("two {request}")));
    first
}

fn upstream(name: &str, server: u16, names: u16) -> String {
    format!(
        "---\nkind: Upstream\nmetadata: {{ name: {name} }}\nspec: {{ keepalive: 0, servers: [{{ address: \"{name}.test:{server}\", resolve: true }}], \
         resolver: {{ servers: [\"127.0.0.1:{names}\"], valid: 1s, ipv4_only: true }} }}\n"
    )
}

#[test]
fn a_name_is_asked_for_again_by_each_nginx() {
    let last = Arc::new(AtomicU8::new(1));
    let names = name_server(Arc::clone(&last));
    let (backend, php) = (twins(), fastcgi_server::start());
    for binary in binaries() {
        let port = free_port();
        let site = host(
            "site",
            port,
            "
  locations:
    - { path: /, proxy: { upstream: backend } }
    - { path: /old/, proxy: { upstream: backend, rewrite: { prefix: /new/ } } }
    - { path: /php/, fastcgi: { upstream: php, root: /srv } }",
        );
        let set = resources(
            &[
                site,
                upstream("backend", backend, names),
                upstream("php", php, names),
            ]
            .concat(),
        );
        let what = binary.display().to_string();
        last.store(1, Ordering::SeqCst);
        let staged = Staged::new(binary, &set);
        staged.assert_accepted(&what);
        let _nginx = staged.start();
        let asked = |path: &str| body(&ask(port, path));
        let first = asked("/a%20b?c=d");
        assert!(
            first.starts_with("one GET /a%20b?c=d HTTP/1.1"),
            "{what}: {first}"
        );
        let moved = asked("/old/a%20b?c=d");
        assert!(
            moved.starts_with("one GET /new/a%20b?c=d HTTP/1.1"),
            "{what}: {moved}"
        );
        let script = asked("/php/a.php");
        assert!(
            script.contains("SCRIPT_NAME=/php/a.php"),
            "{what}: {script}"
        );
        last.store(2, Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !asked("/").starts_with("two ") {
            assert!(
                Instant::now() < deadline,
                "{what}: the name is not asked for again"
            );
            thread::yield_now();
        }
    }
}

#[test]
fn a_name_is_asked_for_again_for_grpc() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let trusted = folder.path().join("ca.pem");
    fs::write(&trusted, authority.pem()).expect("write it");
    let (plain, secure) = (free_port(), free_port());
    let Some(binary) = binary() else { return };
    let pair = authority.sign("rpc.test");
    let _backend = Staged::foreign(binary, |folder| {
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("write it");
        write("own.crt", &pair.certificate);
        write("own.key", &pair.key);
        let servers = [("one", 1), ("two", 2)].map(|(name, last)| {
            format!(
                "server {{
                    listen 127.0.0.{last}:{plain} http2;
                    listen 127.0.0.{last}:{secure} ssl http2;
                    ssl_certificate own.crt; ssl_certificate_key own.key;
                    add_header X-Seen \"{name} $scheme $server_protocol $host $uri\";
                    add_trailer grpc-status 0;
                    location / {{ default_type application/grpc; return 200 message; }}
                }} "
            )
        });
        let conf = format!(
            "pid nginx.pid; error_log error.log; events {{ }} http {{ {} }}",
            servers.concat()
        );
        write("nginx.conf", &conf);
    });
    let last = Arc::new(AtomicU8::new(1));
    let names = name_server(Arc::clone(&last));
    for binary in binaries() {
        let port = free_port();
        let site = host(
            "site",
            port,
            &format!(
                "
  locations:
    - {{ path: /plain.Orders/, grpc: {{ upstream: plain }} }}
    - {{ path: /secure.Orders/, grpc: {{ upstream: secure, scheme: https, tls: {{ server_name: rpc.test, verify: {{ file: {} }} }} }} }}
    - {{ path: /wrong.Orders/, grpc: {{ upstream: secure, scheme: https, http_errors: true, tls: {{ verify: {{ file: {} }} }} }} }}",
                trusted.display(),
                trusted.display()
            ),
        );
        let upstreams = upstream("plain", plain, names) + &upstream("secure", secure, names);
        let set = resources(&(site + &upstreams));
        let what = binary.display().to_string();
        last.store(1, Ordering::SeqCst);
        let staged = Staged::new(binary, &set);
        staged.assert_accepted(&what);
        let _nginx = staged.start();
        let seen = |path: &str| header(&ask(port, path), "x-seen").unwrap_or_default();
        assert_eq!(
            seen("/plain.Orders/Get"),
            "one http HTTP/2.0 site.test /plain.Orders/Get",
            "{what}"
        );
        assert_eq!(
            seen("/secure.Orders/Get"),
            "one https HTTP/2.0 site.test /secure.Orders/Get",
            "{what}"
        );
        assert_eq!(ask(port, "/wrong.Orders/Get").status, 502, "{what}");
        last.store(2, Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(20);
        for path in ["/plain.Orders/Get", "/secure.Orders/Get"] {
            while !seen(path).starts_with("two ") {
                let late = Instant::now() >= deadline;
                assert!(!late, "{what}: the name is not asked for again");
                thread::yield_now();
            }
        }
    }
}

#[test]
fn hosts_follow_when_an_upstream_takes_another_form() {
    let site = host(
        "site",
        8080,
        "  locations: [{ path: /, proxy: { upstream: backend } }]",
    );
    let set = |upstream: &str| -> ResourceSet { resources(&format!("{site}{upstream}")) };
    let (named, plain) = (
        set(&upstream("backend", 80, 53)),
        set(&crate::site::upstream("backend", &[80])),
    );
    let settings = RenderSettings {
        nginx: "1.22.1".parse().expect("a version"),
        ..RenderSettings::default()
    };
    let renderer = HandlebarsRenderer::new();
    let whole = |set: &ResourceSet| renderer.render(set, &settings).expect("rendered");
    let changed = ["Upstream/backend".parse().expect("a key")].into();
    for (before, after) in [(&named, &plain), (&plain, &named)] {
        let again = renderer.rerender(whole(before), after, &changed, &settings);
        assert_eq!(again.expect("rendered"), whole(after));
    }
}
