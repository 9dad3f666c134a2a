//! gRPC and FastCGI behind a real nginx.

use std::fs;

use crate::{
    fastcgi_server,
    nginx::{Staged, binary, free_port},
    site::{ask, ask_with, body, header, host, serving, upstream},
};

#[test]
fn grpc_is_passed_and_errors_are_told_in_its_way() {
    let (port, back, nobody) = (free_port(), free_port(), free_port());
    let site = host(
        "site",
        port,
        r#"
  locations:
    - { path: /shop.Orders/, grpc: { upstream: back, request_headers: [{ name: X-Tenant, value: "a $b" }], hide_headers: [X-Secret] } }
    - { path: /shop.Gone/, grpc: { upstream: nobody } }
    - { path: /shop.Plain/, grpc: { upstream: nobody, http_errors: true } }
    - { path: /shop.Closed/, access: { rules: [{ deny: all }] }, grpc: { upstream: back } }"#,
    );
    let Some(binary) = binary() else { return };
    let _backend = Staged::foreign(binary, |folder| {
        let conf = format!(
            "pid nginx.pid; error_log error.log; events {{ }} http {{ access_log off; server {{
                listen 127.0.0.1:{back} http2;
                location / {{
                    default_type application/grpc;
                    add_header X-Seen \"$server_protocol $host $http_x_tenant $http_te $uri\";
                    add_header X-Secret hidden;
                    add_trailer grpc-status 0;
                    return 200 message;
                }}
            }} }}"
        );
        fs::write(folder.join("nginx.conf"), conf).expect("write its configuration");
    });
    let Some(_nginx) = serving(&[
        site,
        upstream("back", &[back]),
        upstream("nobody", &[nobody]),
    ]) else {
        return;
    };
    let answer = ask_with(port, "/shop.Orders/Get", "TE: trailers\r\n");
    assert_eq!(answer.status, 200);
    assert_eq!(
        header(&answer, "x-seen").as_deref(),
        Some("HTTP/2.0 site.test a $b trailers /shop.Orders/Get")
    );
    assert_eq!(header(&answer, "x-secret"), None);
    assert!(body(&answer).contains("message"));
    for (path, status) in [("/shop.Gone/Get", 14), ("/shop.Closed/Get", 7)] {
        let answer = ask(port, path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(
            header(&answer, "Content-Type").as_deref(),
            Some("application/grpc")
        );
        let told = body(&answer);
        assert!(
            told.contains(&format!("grpc-status: {status}\r\n")),
            "{path}: {told}"
        );
    }
    assert_eq!(ask(port, "/shop.Plain/Get").status, 502);
}

#[test]
fn fastcgi_servers_are_told_what_they_need() {
    let port = free_port();
    let site = host(
        "site",
        port,
        r#"
  locations:
    - path: '\.php(/|$)'
      match: regex
      fastcgi:
        upstream: php
        root: "/srv/my $app"
        split_path_info: '^(.+?\.php)(/.*)$'
        params: [{ name: APP_ENV, value: "pro $duction" }, { name: SERVER_NAME, value: named }]
        hide_headers: [X-Secret]
    - { path: /folder/, fastcgi: { upstream: php, root: /srv, index: index.php } }
    - { path: /app/, fastcgi: { upstream: php, root: /srv/app, script: /index.php } }"#,
    );
    let Some(_nginx) = serving(&[site, upstream("php", &[fastcgi_server::start()])]) else {
        return;
    };
    let told = |path: &str, headers: &str| {
        let answer = ask_with(port, path, headers);
        assert_eq!(answer.status, 200, "{path}");
        body(&answer)
    };
    let seen = told(
        "/shop/a%20b.php/more/x?q=1",
        "Proxy: evil\r\nX-Any: one\r\n",
    );
    for line in [
        "SCRIPT_FILENAME=/srv/my $app/shop/a b.php",
        "SCRIPT_NAME=/shop/a b.php",
        "PATH_INFO=/more/x",
        "DOCUMENT_ROOT=/srv/my $app",
        "QUERY_STRING=q=1",
        "REQUEST_URI=/shop/a%20b.php/more/x?q=1",
        "REQUEST_METHOD=GET",
        "APP_ENV=pro $duction",
        "SERVER_NAME=named",
        "REDIRECT_STATUS=200",
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTP_X_ANY=one",
    ] {
        let lines = seen.lines().filter(|seen| *seen == line).count();
        assert_eq!(lines, 1, "{line} in\n{seen}");
    }
    for name in ["SERVER_NAME=", "SCRIPT_FILENAME="] {
        let lines = seen.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(lines, 1, "{name} in\n{seen}");
    }
    for name in ["HTTPS=", "HTTP_PROXY="] {
        assert!(!seen.contains(name), "{seen}");
    }
    assert!(told("/folder/", "").contains("SCRIPT_FILENAME=/srv/folder/index.php\n"));
    let app = told("/app/any/thing?x", "");
    assert!(
        app.contains("SCRIPT_FILENAME=/srv/app/index.php\n"),
        "{app}"
    );
    assert!(app.contains("SCRIPT_NAME=/index.php\n"), "{app}");
    assert!(app.contains("REQUEST_URI=/app/any/thing?x\n"), "{app}");
    assert_eq!(header(&ask(port, "/x.php"), "X-Secret"), None);
    assert_eq!(
        header(&ask(port, "/app/"), "X-Secret").as_deref(),
        Some("hidden")
    );
}

#[test]
fn errors_of_all_backends_are_told_as_it_is_said() {
    let (port, back) = (free_port(), free_port());
    let site = host(
        "site",
        port,
        r#"
  intercept_errors: true
  error_pages: [{ codes: [500], send: { redirect: "https://status.test/" } }]
  locations:
    - { path: /broken/php, fastcgi: { upstream: php, root: /srv } }
    - { path: /broken/as-sent, intercept_errors: false, fastcgi: { upstream: php, root: /srv } }
    - { path: /shop.Orders/, grpc: { upstream: back, http_errors: true } }
    - { path: /shop.AsSent/, intercept_errors: false, grpc: { upstream: back, http_errors: true } }"#,
    );
    let Some(binary) = binary() else { return };
    let _backend = Staged::foreign(binary, |folder| {
        let conf = format!(
            "pid nginx.pid; error_log error.log; events {{ }} http {{ access_log off; server {{
                listen 127.0.0.1:{back} http2;
                location / {{ return 500 broken; }}
            }} }}"
        );
        fs::write(folder.join("nginx.conf"), conf).expect("write its configuration");
    });
    let php = upstream("php", &[fastcgi_server::start()]);
    let Some(_nginx) = serving(&[site, php, upstream("back", &[back])]) else {
        return;
    };
    for (path, status) in [
        ("/broken/php", 302),
        ("/broken/as-sent", 500),
        ("/shop.Orders/Get", 302),
        ("/shop.AsSent/Get", 500),
    ] {
        assert_eq!(ask(port, path).status, status, "{path}");
    }
}
