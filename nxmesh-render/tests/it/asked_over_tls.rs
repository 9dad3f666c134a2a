//! Services beside the one that answers, asked over TLS by a real nginx: who decides,
//! who gets copies, and where pages for errors come from.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nxmesh_core::{check::check, document::parse, model::ResourceSet};

use crate::{
    echo,
    nginx::{Nginx, Staged, binary, free_port},
    site::{ask, ask_with, body, host, resources, serving_set as serving, site, status, upstream},
    tls::Authority,
};

/// Serves over TLS on `port` as `service.test`, for clients with certificates of
/// `authority` or with none, whatever `locations` say.
fn secure(port: u16, authority: &Authority, locations: &str) -> Option<Nginx> {
    let pair = authority.sign("service.test");
    Some(Staged::foreign(binary()?, |folder| {
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("write it");
        write("ca.pem", &authority.pem());
        write("own.crt", &pair.certificate);
        write("own.key", &pair.key);
        write(
            "nginx.conf",
            &format!(
                "pid nginx.pid; error_log error.log; events {{ }} http {{ server {{
                    listen 127.0.0.1:{port} ssl;
                    ssl_certificate own.crt; ssl_certificate_key own.key;
                    ssl_verify_client optional; ssl_client_certificate ca.pem;
                    {locations}
                }} }}"
            ),
        );
    }))
}

/// An upstream that keeps so many connections.
fn keeping(name: &str, port: u16, keepalive: u32) -> String {
    let spec =
        format!("{{ keepalive: {keepalive}, servers: [{{ address: \"127.0.0.1:{port}\" }}] }}");
    format!("---\nkind: Upstream\nmetadata: {{ name: {name} }}\nspec: {spec}\n")
}

fn write(folder: &Path, name: &str, authority: &Authority) -> String {
    let path = folder.join(name);
    fs::write(&path, authority.pem()).expect("write it");
    path.display().to_string()
}

#[test]
fn a_service_that_decides_has_to_prove_who_it_is() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let (trusted, untrusted) = (
        write(folder.path(), "ca.pem", &authority),
        write(folder.path(), "other.pem", &other),
    );
    let (port, decides, backend) = (free_port(), free_port(), echo::start());
    let Some(_service) = secure(
        decides,
        &authority,
        r#"location = /check {
            if ($ssl_client_verify != SUCCESS) { return 418; }
            if ($http_authorization != good) { return 401; }
            add_header X-User "$ssl_server_name $ssl_client_s_dn";
            return 204;
        }"#,
    ) else {
        return;
    };
    let location = |path: &str, tls: &str| {
        format!(
            "\n    - {{ path: {path}, external_auth: {{ service: {{ upstream: service, path: /check, copy_headers: [X-User], scheme: https, tls: {{ {tls} }} }} }}, proxy: {{ upstream: backend }} }}"
        )
    };
    let right = format!("server_name: service.test, verify: {{ file: \"{trusted}\" }}");
    let wrong = format!("server_name: service.test, verify: {{ file: \"{untrusted}\" }}");
    let named = format!("server_name: site.test, verify: {{ file: \"{trusted}\" }}");
    let shown = "certificate: shown";
    let locations = [
        location("/right", &format!("{right}, {shown}")),
        location("/wrong", &format!("{wrong}, {shown}")),
        location("/named", &format!("{named}, {shown}")),
        location("/hidden", &right),
        location("/unverified", shown),
    ];
    let documents = [
        upstream("service", &[decides]),
        upstream("backend", &[backend]),
        authority.sign("shop").document("shown"),
    ];
    let set = site(
        port,
        &format!("  locations:{}", locations.concat()),
        &documents.concat(),
    );
    let Some(_nginx) = serving(&set) else { return };
    let good = |path: &str| ask_with(port, path, "Authorization: good\r\n");
    // More than once: what one of them learned of the service is not for the others.
    for _ in 0..3 {
        for (path, name) in [("/right", "service.test"), ("/unverified", "site.test")] {
            let answer = good(path);
            assert_eq!(answer.status, 200, "{path}");
            let told = body(&answer);
            assert!(told.contains(&format!("X-User: {name} CN=shop")), "{told}");
            assert_eq!(status(port, path), 401, "{path}");
        }
        for path in ["/wrong", "/named", "/hidden"] {
            assert_eq!(good(path).status, 500, "{path}");
        }
    }
}

/// What nginx does with connections that it keeps, and why those who ask in different ways
/// have upstreams of their own.
#[test]
fn who_was_verified_is_so_for_all_that_ask_an_upstream_that_keeps_connections() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let (trusted, untrusted) = (
        write(folder.path(), "ca.pem", &authority),
        write(folder.path(), "other.pem", &other),
    );
    let (port, far) = (free_port(), free_port());
    let Some(_service) = secure(far, &authority, "location / { return 200 secret; }") else {
        return;
    };
    let site = |upstreams: [&str; 2]| {
        let location = |path: &str, upstream: &str, ca: &str| {
            format!(
                "\n    - {{ path: {path}, proxy: {{ upstream: {upstream}, scheme: https, tls: {{ server_name: service.test, verify: {{ file: \"{ca}\" }} }} }} }}"
            )
        };
        let locations = location("/right", upstreams[0], &trusted)
            + &location("/wrong", upstreams[1], &untrusted);
        host("site", port, &format!("  locations:{locations}"))
            + &keeping("one", far, 8)
            + &keeping("two", far, 8)
    };
    let statuses = |set: &ResourceSet| -> Option<[u16; 4]> {
        let _nginx = serving(set)?;
        Some(["/wrong", "/right", "/wrong", "/right"].map(|path| status(port, path)))
    };
    let shared: ResourceSet = parse("test", &site(["one", "one"]))
        .expect("documents")
        .into_iter()
        .map(|parsed| parsed.resource)
        .collect();
    // nginx asks nothing of a connection that is there.
    assert_eq!(statuses(&shared), Some([502, 200, 200, 200]));
    let problems = check(shared).expect_err("they ask in two ways");
    assert_eq!(problems.len(), 1, "{problems:?}");
    let apart = resources(&site(["one", "two"]));
    assert_eq!(statuses(&apart), Some([502, 200, 502, 200]));
}

#[test]
fn copies_and_pages_go_over_tls() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let trusted = write(folder.path(), "ca.pem", &authority);
    let copies = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&copies);
    let counting = echo::start_with(move |request| {
        assert!(request.starts_with("GET /some?a=b"), "{request}");
        seen.fetch_add(1, Ordering::SeqCst);
        ("200 OK", String::new())
    });
    let (port, far, backend) = (free_port(), free_port(), echo::start());
    let Some(_service) = secure(
        far,
        &authority,
        &format!(
            "location = /page {{ return 200 \"page of $ssl_server_name\"; }}
             location / {{ proxy_pass http://127.0.0.1:{counting}; }}"
        ),
    ) else {
        return;
    };
    let page = |path: &str, tls: &str| {
        format!(
            "
    - path: {path}
      error_pages: [{{ codes: [403], send: {{ upstream: {{ upstream: far, path: /page, scheme: https{tls} }} }} }}]
      access: {{ rules: [{{ deny: all }}] }}
      respond: {{ status: 200 }}"
        )
    };
    let verified =
        format!(", tls: {{ server_name: service.test, verify: {{ file: \"{trusted}\" }} }}");
    let named = format!(", tls: {{ verify: {{ file: \"{trusted}\" }} }}");
    let set = site(
        port,
        &format!(
            "
  locations:
    - {{ path: /some, mirror: {{ to: {{ upstream: far, scheme: https{verified} }} }}, proxy: {{ upstream: backend }} }}{}{}{}",
            page("/unverified", ""),
            page("/verified", &verified),
            page("/named", &named),
        ),
        &(keeping("far", far, 0) + &upstream("backend", &[backend])),
    );
    let Some(_nginx) = serving(&set) else { return };
    for _ in 0..5 {
        assert!(body(&ask(port, "/some?a=b")).starts_with("GET /some?a=b"));
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while copies.load(Ordering::SeqCst) < 5 {
        assert!(Instant::now() < deadline, "{copies:?} of 5 came");
        thread::yield_now();
    }
    assert_eq!(body(&ask(port, "/unverified")), "page of site.test");
    assert_eq!(body(&ask(port, "/verified")), "page of service.test");
    let named = ask(port, "/named");
    assert_eq!(named.status, 502, "{}", body(&named));
}
