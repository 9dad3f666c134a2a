//! What a real nginx answers is what the model says.

use nxmesh_core::{
    document::parse_value,
    model::{Resource, ResourceSet},
    testkit::sample,
};
use serde_json::{Value, json};

use crate::{
    echo,
    nginx::{self, get},
};

fn resource(document: Value) -> Resource {
    parse_value("test", document).unwrap_or_else(|problem| panic!("{problem}"))
}

/// What is refused as a header, and what is not because it takes the place of the other.
#[test]
fn what_nginx_sends_itself_would_be_there_twice() {
    let Some(binary) = nginx::binary() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.txt"), "a").expect("write it");
    let (twice, once) = (
        ["Content-Type", "Server", "Date", "Accept-Ranges"],
        ["Last-Modified", "ETag"],
    );
    let headers = |names: &[&str]| -> Value {
        let headers = names.iter();
        headers
            .map(|name| json!({ "name": name, "value": "own" }))
            .collect()
    };
    let port = nginx::free_port();
    let host = |names: &[&str]| {
        resource(json!({
            "kind": "VirtualHost", "metadata": { "name": "site" },
            "spec": {
                "server_names": ["site.test"],
                "listen": [{ "port": port, "address": "127.0.0.1" }],
                "response_headers": headers(names),
                "locations": [{ "path": "/", "static": { "root": folder.path() } }],
            },
        }))
    };
    let problems = nxmesh_core::check::document(&host(&twice));
    assert_eq!(problems.len(), twice.len(), "{problems:?}");
    let both = host(&[&twice[..], &once].concat());
    let _nginx = nginx::Staged::new(binary, &ResourceSet::from_iter([both])).start();
    let answer = get(port, "site.test", b"/a.txt");
    for (names, times) in [(&twice[..], 2), (&once, 1)] {
        for name in names {
            let sent = answer
                .headers
                .iter()
                .filter(|(sent, _)| sent.eq_ignore_ascii_case(name));
            assert_eq!(sent.count(), times, "{name}");
        }
    }
}

#[test]
fn header_names_and_host_patterns() {
    let Some(binary) = nginx::binary() else {
        return;
    };
    let port = nginx::free_port();
    let names = [
        "X-!#%&'*+-.^_`|~",
        "off",
        "default",
        "if",
        "#",
        "'",
        "~x",
        "*",
    ];
    let headers: Vec<_> = names
        .iter()
        .map(|name| json!({ "name": name, "value": "a;b" }))
        .collect();
    let host = |name: &str, server: &str| {
        resource(json!({
            "kind": "VirtualHost", "metadata": { "name": name },
            "spec": {
                "server_names": [server],
                "listen": [{ "port": port, "address": "127.0.0.1" }],
                "response_headers": headers,
                "locations": [{ "path": "/", "respond": { "status": 200, "body": name } }],
            },
        }))
    };
    let set = ResourceSet::from_iter([
        host("digits", r"~^www\d{2}\.example\.com$"),
        host("named", r#"~^(?<shop>[a-z"';#{}]+)\.shop\.example$"#),
        host("wild", "*.wild.example"),
        host("none", "_"),
    ]);
    let nginx = nginx::Staged::new(binary, &set).start();
    for (asked, expected) in [
        ("www12.example.com", "digits"),
        ("blue.shop.example", "named"),
        ("a.wild.example", "wild"),
        // Nobody's: nginx takes the first server of the port.
        ("www123.example.com", "digits"),
    ] {
        let answer = get(port, asked, b"/");
        assert_eq!(String::from_utf8_lossy(&answer.body), expected, "{asked}");
        for name in names {
            assert_eq!(answer.header(name), Some(&b"a;b"[..]), "{name}");
        }
    }
    assert!(nginx.path("error.log").is_file());
}

#[test]
fn responses_are_what_the_model_says() {
    let Some(binary) = nginx::binary() else {
        return;
    };
    let port = nginx::free_port();
    let respond =
        |path: &str, respond: Value| json!({ "path": path, "match": "exact", "respond": respond });
    let own = json!([{ "name": "x-both", "value": "location" }, { "name": "X-Own", "value": "1" }]);
    let mut headed = respond("/headed", json!({ "status": 404, "body": "gone" }));
    headed["response_headers"] = own;
    let set = ResourceSet::from_iter([resource(json!({
        "kind": "VirtualHost", "metadata": { "name": "texts" },
        "spec": {
            "server_names": ["texts.example.com"],
            "listen": [{ "port": port, "address": "127.0.0.1" }],
            "response_headers": [
                { "name": "X-Both", "value": "host", "always": true },
                { "name": "X-Host", "value": "1", "always": true },
            ],
            "locations": [
                respond("/empty", json!({ "status": 503 })),
                respond("/page.html", json!({ "status": 200, "body": "<p>" })),
                respond("/made.json", json!({ "status": 201, "body": "{}", "content_type": "application/json" })),
                headed,
            ],
        },
    }))]);
    let nginx = nginx::Staged::new(binary, &set).start();
    let ask = |path: &str| get(port, "texts.example.com", path.as_bytes());
    let text =
        |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let empty = ask("/empty");
    assert_eq!((empty.status, &empty.body[..]), (503, &b""[..]));
    assert_eq!(text(empty.header("X-Both")).as_deref(), Some("host"));
    let page = ask("/page.html");
    assert_eq!(
        (page.status, text(page.header("Content-Type")).as_deref()),
        (200, Some("text/plain"))
    );
    let made = ask("/made.json");
    assert_eq!(
        (made.status, text(made.header("Content-Type")).as_deref()),
        (201, Some("application/json"))
    );
    let headed = ask("/headed");
    assert_eq!((headed.status, &headed.body[..]), (404, &b"gone"[..]));
    // Overridden, but not for errors: that is the location's choice.
    assert_eq!(
        (headed.header("X-Both"), headed.header("x-both")),
        (None, None)
    );
    assert_eq!(text(headed.header("X-Host")).as_deref(), Some("1"));
    assert_eq!(ask("/other").status, 404);
    drop(nginx);
}

#[test]
fn a_proxied_request_carries_the_usual_headers() {
    let Some(binary) = nginx::binary() else {
        return;
    };
    let port = nginx::free_port();
    let proxy = |path: &str, websocket: bool, headers: Value| {
        let proxy =
            json!({ "upstream": "echo", "websocket": websocket, "request_headers": headers });
        json!({ "path": path, "proxy": proxy })
    };
    let set = ResourceSet::from_iter([
        resource(json!({
            "kind": "VirtualHost", "metadata": { "name": "shop" },
            "spec": {
                "server_names": ["shop.example.com"],
                "listen": [{ "port": port, "address": "127.0.0.1" }],
                "locations": [
                    proxy("/", false, json!([])),
                    proxy("/socket", true, json!([])),
                    proxy("/own", false, json!([
                        { "name": "host", "value": "$own" },
                        { "name": "X-Real-IP", "remove": true },
                        { "name": "X-Port", "variable": "server_port" },
                    ])),
                ],
            },
        })),
        resource(json!({
            "kind": "Upstream", "metadata": { "name": "echo" },
            "spec": { "servers": [{ "address": format!("127.0.0.1:{}", echo::start()) }] },
        })),
    ]);
    let nginx = nginx::Staged::new(binary, &set).start();
    let seen = |path: &str| {
        let answer = get(port, "shop.example.com", path.as_bytes());
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let usual = [
        "GET /a%20b?c=d HTTP/1.1",
        "Host: shop.example.com",
        "X-Real-IP: 127.0.0.1",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
    ];
    assert_eq!(seen("/a%20b?c=d"), usual);
    // Without an Upgrade header a location for WebSocket is like any other.
    assert_eq!(seen("/socket")[1..], usual[1..]);
    let port_line = format!("X-Port: {port}");
    assert_eq!(
        seen("/own")[1..],
        [usual[3], usual[4], "host: $own", port_line.as_str()]
    );
    drop(nginx);
}

#[test]
fn plain_http_leads_to_https() {
    let Some(binary) = nginx::binary() else {
        return;
    };
    let (port, tls_port) = (nginx::free_port(), nginx::free_port());
    let mut host = sample::tls_virtual_host("shop");
    let listen = json!([
        { "port": port, "address": "127.0.0.1" },
        { "port": tls_port, "address": "127.0.0.1", "tls": true, "http2": true },
    ]);
    host.spec.listen = serde_json::from_value(listen).expect("addresses");
    let set = ResourceSet::from_iter([
        Resource::from(host),
        sample::upstream("shop").into(),
        sample::certificate("shop").into(),
    ]);
    let nginx = nginx::Staged::new(binary, &set).start();
    let answer = get(port, "shop.example.com", b"/a?b=c");
    assert_eq!(answer.status, 308);
    let target = format!("https://shop.example.com:{tls_port}/a?b=c");
    assert_eq!(answer.header("Location"), Some(target.as_bytes()));
    // Browsers ignore it on plain HTTP, and RFC 6797 forbids it there.
    assert_eq!(answer.header("Strict-Transport-Security"), None);
    assert_eq!(answer.header("X-Frame-Options"), Some(&b"DENY"[..]));
    // The other port speaks TLS.
    assert_eq!(get(tls_port, "shop.example.com", b"/").status, 400);
    drop(nginx);
}
