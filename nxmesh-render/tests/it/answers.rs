//! Redirects and files, asked of a real nginx.

use std::fs;

use tempfile::TempDir;

use crate::{
    echo,
    nginx::{free_port, get},
    site::{ask, ask_with, body, header, host, serving, serving_set, site, upstream},
};

#[test]
fn redirects_change_parts_of_the_url() {
    let port = free_port();
    let site = host(
        "site",
        port,
        r#"
  locations:
    - { path: /, match: exact, redirect: { to: /app/ } }
    - { path: /secure, redirect: { scheme: https, code: 308 } }
    - { path: /other, redirect: { host: other.example.com, code: 301 } }
    - { path: /port, redirect: { port: 8443 } }
    - { path: /path, redirect: { path: /new, code: 303 } }
    - { path: /all, redirect: { scheme: https, host: other.example.com, port: 8443, path: "/a%20b", drop_query: true, code: 307 } }
    - { path: "/old (1)/", redirect: { prefix: /new/, code: 301 } }
    - { path: /older/, redirect: { prefix: /new/, scheme: https, host: other.example.com } }
    - { path: /oldest, match: exact, redirect: { prefix: /new } }
    - { path: /guarded/, redirect: { prefix: /new/ }, access: { rules: [{ allow: all }] } }
    - { path: /closed/, redirect: { prefix: /new/ }, access: { rules: [{ deny: all }] } }"#,
    );
    let Some(_nginx) = serving(&[site]) else {
        return;
    };
    for (path, status, location) in [
        ("/", 302, "/app/"),
        ("/secure/x?q=%20", 308, "https://site.test/secure/x?q=%20"),
        ("/other?a", 301, "http://other.example.com/other?a"),
        ("/port", 302, "http://site.test:8443/port"),
        ("/path/x?q=1", 303, "/new?q=1"),
        ("/path", 303, "/new"),
        ("/all?q", 307, "https://other.example.com:8443/a%20b"),
        ("/old%20(1)/a/b?q=1", 301, "/new/a/b?q=1"),
        ("/older/", 302, "https://other.example.com/new/"),
        ("/oldest?q", 302, "/new?q"),
        ("/guarded/x", 302, "/new/x"),
        // A line break of the request never becomes one of the response.
        (
            "/older/a%0D%0AX:%20y",
            302,
            "https://other.example.com/new/a%0D%0AX:%20y",
        ),
        (
            "/secure%0D%0AX:%20y",
            308,
            "https://site.test/secure%0D%0AX:%20y",
        ),
    ] {
        let answer = ask(port, path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(
            header(&answer, "Location").as_deref(),
            Some(location),
            "{path}"
        );
        assert_eq!(header(&answer, "X"), None, "{path}");
    }
    assert_eq!(ask(port, "/closed/x").status, 403);
}

#[test]
fn files_are_found_where_it_is_said() {
    let port = free_port();
    let files = TempDir::new().expect("make a temporary folder");
    let root = files.path().display().to_string();
    for (name, text) in [
        ("img/a.png", "a picture"),
        ("img-secret/b.png", "secret"),
        ("secret.txt", "secret"),
        ("app/index.html", "the app"),
        ("app/page.html", "a page"),
        ("app/sub/index.html", "a folder"),
        ("listed/one.txt", "one"),
        ("$robots", "robots"),
    ] {
        let file = files.path().join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("make a folder");
        fs::write(file, text).expect("write a file");
    }
    let site = host(
        "site",
        port,
        &format!(
            r#"
  locations:
    - {{ path: /pictures/, static: {{ alias: "{root}/img/", expires: {{ after: 1h }} }} }}
    - {{ path: /robots.txt, match: exact, static: {{ alias: "{root}/$robots", expires: epoch }} }}
    - {{ path: /listed/, static: {{ root: "{root}", autoindex: true }} }}
    - path: /app/
      static: {{ root: "{root}", try: [uri, {{ suffix: .html }}, folder], otherwise: {{ path: /app/index.html }} }}
    - path: /tried/
      static: {{ alias: "{root}/img/", try: [uri, {{ path: /a.png }}], otherwise: {{ status: 410 }} }}
    - {{ path: "/spa $/", static: {{ alias: "{root}/img/", otherwise: {{ path: "/spa $/a.png" }} }} }}
    - {{ path: /led/, static: {{ alias: "{root}/img/", try: [uri], otherwise: {{ path: "/echo $" }} }} }}
    - {{ path: /none/, static: {{ root: "{root}", otherwise: {{ status: 410 }} }} }}
    - {{ path: /shown/, static: {{ root: "{root}", otherwise: {{ path: "/echo $" }} }} }}
    - {{ path: "/echo $", respond: {{ status: 200, body: shown }} }}"#
        ),
    );
    let Some(_nginx) = serving(&[site]) else {
        return;
    };
    for (path, status, text) in [
        ("/pictures/a.png", 200, "a picture"),
        ("/pictures../secret.txt", 404, ""),
        ("/pictures-secret/b.png", 404, ""),
        ("/robots.txt", 200, "robots"),
        ("/app/page", 200, "a page"),
        ("/app/sub/", 200, "a folder"),
        ("/app/deep/link?x=1", 200, "the app"),
        ("/tried/a.png", 200, "a picture"),
        ("/tried/b.png", 200, "a picture"),
        ("/spa%20$/a.png", 200, "a picture"),
        ("/spa%20$/deep/link?x=1", 200, "a picture"),
        ("/led/a.png", 200, "a picture"),
        ("/led/elsewhere", 200, "shown"),
        ("/none/x", 410, ""),
        ("/shown/x", 200, "shown"),
    ] {
        let answer = get(port, "site.test", path.as_bytes());
        assert_eq!(answer.status, status, "{path}");
        if status == 200 {
            assert_eq!(body(&answer), text, "{path}");
        }
    }
    assert!(body(&ask(port, "/listed/")).contains("one.txt"));
    let cached = |path: &str| header(&ask(port, path), "Cache-Control");
    assert_eq!(cached("/pictures/a.png").as_deref(), Some("max-age=3600"));
    assert_eq!(cached("/robots.txt").as_deref(), Some("no-cache"));
    assert_eq!(cached("/app/page"), None);
}

#[test]
fn what_is_no_file_is_answered_by_the_application() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display();
    fs::write(folder.path().join("logo.png"), "a logo").expect("write it");
    let app = echo::start();
    let port = free_port();
    let site = site(
        port,
        &format!(
            r#"
  block: {{ user_agents: [evil] }}
  locations:
    - path: /
      response_headers: [{{ name: X-Own, value: "1", always: true }}]
      static: {{ root: "{root}", otherwise: {{ proxy: {{ upstream: app, timeouts: {{ connect: 2s }} }} }} }}
    - path: /files/
      static: {{ alias: "{root}/", try: [uri], otherwise: {{ proxy: {{ upstream: app, rewrite: {{ prefix: /v1/ }} }} }} }}"#
        ),
        &upstream("app", &[app]),
    );
    let Some(_nginx) = serving_set(&site) else {
        return;
    };
    for (path, text) in [
        ("/logo.png", "a logo"),
        ("/files/logo.png", "a logo"),
        ("/carts/7?x=1", "GET /carts/7?x=1 HTTP/1.1"),
        ("/files/a%20b?y", "GET /v1/a%20b?y HTTP/1.1"),
    ] {
        let answer = ask(port, path);
        assert_eq!(answer.status, 200, "{path}");
        let told = body(&answer);
        assert_eq!(told.lines().next(), Some(text), "{path}");
    }
    assert_eq!(header(&ask(port, "/carts"), "X-Own").as_deref(), Some("1"));
    let evil = ask_with(port, "/carts", "User-Agent: evil\r\n");
    assert_eq!(evil.status, 403);
}
