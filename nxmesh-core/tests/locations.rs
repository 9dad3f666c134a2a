//! What is refused in locations and their actions, and where it is told.

use nxmesh_core::{
    check::check,
    document::{Problem, parse_value},
    model::ResourceSet,
};
use serde_json::{Value, json};

/// The first problem of a host with this location, when read or when checked.
fn problem(location: &Value) -> Problem {
    let host = json!({
        "kind": "VirtualHost", "metadata": { "name": "shop" },
        "spec": { "server_names": ["shop.example.com"], "locations": [location] },
    });
    let upstream = json!({
        "kind": "Upstream", "metadata": { "name": "back" },
        "spec": { "servers": [{ "address": "10.0.0.1:80" }] },
    });
    let mut set = ResourceSet::default();
    for document in [host, upstream] {
        match parse_value("test", document) {
            Ok(resource) => drop(set.insert(resource)),
            Err(problem) => return problem,
        }
    }
    match check(set) {
        Ok(_) => panic!("{location} was not refused"),
        Err(mut problems) => problems.remove(0),
    }
}

/// Each location is refused at this field of it, for this reason.
fn refused(rows: impl IntoIterator<Item = (Value, &'static str, &'static str)>) {
    for (location, pointer, rule) in rows {
        let found = problem(&location);
        let at = found.pointer.strip_prefix("/spec/locations/0");
        assert_eq!(at, Some(pointer), "{location}: {found}");
        assert!(found.to_string().contains(rule), "{location}: {found}");
    }
}

/// A location that passes to `back` and says `more`.
fn proxy(more: Value) -> Value {
    let mut proxy = json!({ "upstream": "back" });
    for (field, value) in more.as_object().into_iter().flatten() {
        proxy[field] = value.clone();
    }
    json!({ "path": "/", "proxy": proxy })
}

#[test]
fn what_a_proxy_cannot_say() {
    let rewrite = |rewrite: Value| proxy(json!({ "rewrite": rewrite }));
    let tls = |tls: Value| proxy(json!({ "scheme": "https", "tls": tls }));
    let buffers = |buffers: Value| proxy(json!({ "buffers": buffers }));
    refused([
        (
            proxy(json!({ "tls": {} })),
            "/proxy/tls",
            "needs scheme: https",
        ),
        (
            proxy(json!({ "websocket": true, "http_version": "HTTP/1.0" })),
            "/proxy/http_version",
            "needs HTTP/1.1",
        ),
        (
            rewrite(json!({ "prefix": "v1" })),
            "/proxy/rewrite/prefix",
            "starts with one '/'",
        ),
        (
            rewrite(json!({ "prefix": "/v1?x" })),
            "/proxy/rewrite/prefix",
            "starts with one '/'",
        ),
        (
            rewrite(json!({ "prefix": "/$host" })),
            "/proxy/rewrite/prefix",
            "starts with one '/'",
        ),
        (
            rewrite(json!({ "prefix": "/%zz" })),
            "/proxy/rewrite/prefix",
            "starts with one '/'",
        ),
        (
            rewrite(json!({})),
            "/proxy/rewrite",
            "either prefix, or pattern and to",
        ),
        (
            rewrite(json!({ "pattern": "^/a", "to": "/b?x={1}" })),
            "/proxy/rewrite/to",
            "no other braces",
        ),
        (
            rewrite(json!({ "pattern": "^/a", "to": format!("/{}", "$".repeat(300)) })),
            "/proxy/rewrite/to",
            "1000 bytes at most",
        ),
        (
            proxy(
                json!({ "cookies": { "paths": [{ "from": "/", "to": format!("/{}", "$".repeat(300)) }] } }),
            ),
            "/proxy/cookies/paths/0/to",
            "1000 bytes at most",
        ),
        (
            rewrite(json!({ "pattern": "^/(a)", "to": "/{2}" })),
            "/proxy/rewrite",
            "captures of its pattern only",
        ),
        (
            rewrite(json!({ "pattern": "^/(?<args>a)", "to": "/{1}" })),
            "/proxy/rewrite/pattern",
            "captures named like variables",
        ),
        (
            json!({ "path": "x", "match": "regex", "proxy": { "upstream": "back", "rewrite": { "prefix": "/v1" } } }),
            "/proxy/rewrite/prefix",
            "no prefix to replace",
        ),
        (
            proxy(json!({ "request_headers": [{ "name": "X_Via", "append": "a" }] })),
            "/proxy/request_headers/0/name",
            "letters, digits and '-' only",
        ),
        (
            tls(json!({ "depth": 2 })),
            "/proxy/tls/depth",
            "needs verify",
        ),
        (
            tls(json!({ "verify": { "file": "/ca.pem" }, "depth": 11 })),
            "/proxy/tls/depth",
            "1 to 10",
        ),
        (
            tls(json!({ "protocols": ["TLSv1.3", "TLSv1.3"] })),
            "/proxy/tls/protocols/1",
            "written once",
        ),
        (
            tls(json!({ "verify": { "certificate": "none" } })),
            "/proxy/tls/verify/certificate",
            "Certificate/none is not in workspace",
        ),
        (
            tls(json!({ "certificate": "none" })),
            "/proxy/tls/certificate",
            "Certificate/none is not in workspace",
        ),
        (
            buffers(json!({ "count": 1 })),
            "/proxy/buffers/count",
            "2 to 1024",
        ),
        (
            buffers(json!({ "size": "2m" })),
            "/proxy/buffers/size",
            "1k to 1m",
        ),
        (
            buffers(json!({ "count": 2, "head": "8k" })),
            "/proxy/buffers/count",
            "all buffers but one",
        ),
        (
            buffers(json!({ "busy": "32k" })),
            "/proxy/buffers/busy",
            "busy is",
        ),
        (
            buffers(json!({ "max_file": "1k" })),
            "/proxy/buffers/max_file",
            "max_file is",
        ),
        (
            buffers(json!({ "file_write": "1k" })),
            "/proxy/buffers/file_write",
            "file_write is",
        ),
        (
            proxy(json!({ "retry": { "tries": 0 } })),
            "/proxy/retry/tries",
            "1 to 100",
        ),
        (
            proxy(json!({ "retry": { "on": ["error", "error"] } })),
            "/proxy/retry/on/1",
            "written once",
        ),
        (
            proxy(json!({ "retry": { "on": [], "non_idempotent": true } })),
            "/proxy/retry/non_idempotent",
            "needs a condition",
        ),
        (
            proxy(json!({ "redirects": { "rewrite": [] } })),
            "/proxy/redirects/rewrite",
            "1 to 50",
        ),
        (
            proxy(json!({ "cookies": { "flags": [{ "cookie": "id" }] } })),
            "/proxy/cookies/flags/0",
            "set something",
        ),
        (
            proxy(json!({ "hide_headers": vec!["X-A"; 101] })),
            "/proxy/hide_headers",
            "at most 100",
        ),
    ]);
}

#[test]
fn what_files_and_redirects_cannot_say() {
    let redirect = |redirect: Value| json!({ "path": "/old/", "redirect": redirect });
    let files = |files: Value| json!({ "path": "/img/", "static": files });
    let with_root = |field: &str, value: Value| {
        let mut files = json!({ "root": "/srv" });
        files[field] = value;
        json!({ "path": "/img/", "static": files })
    };
    refused([
        (redirect(json!({})), "/redirect", "either to, or some of"),
        (
            redirect(json!({ "to": "/x", "scheme": "https" })),
            "/redirect",
            "either to, or some of",
        ),
        (
            redirect(json!({ "path": "/x", "append_request_uri": true })),
            "/redirect",
            "either to, or some of",
        ),
        (
            redirect(json!({ "path": "/x", "prefix": "/y" })),
            "/redirect",
            "path or prefix, not both",
        ),
        (
            redirect(json!({ "path": "//evil.example" })),
            "/redirect/path",
            "starts with one '/'",
        ),
        (
            redirect(json!({ "path": "/$request_uri" })),
            "/redirect/path",
            "starts with one '/'",
        ),
        (
            redirect(json!({ "host": "a.example/$x" })),
            "/redirect/host",
            "a host name is",
        ),
        (
            redirect(json!({ "host": "*.example" })),
            "/redirect/host",
            "a host name is",
        ),
        (
            redirect(json!({ "scheme": "https", "drop_query": true })),
            "/redirect/drop_query",
            "needs path",
        ),
        (
            redirect(json!({ "prefix": "/new/", "code": 308 })),
            "/redirect/code",
            "301 or 302",
        ),
        (
            json!({ "path": "x", "match": "regex", "redirect": { "prefix": "/new/" } }),
            "/redirect/prefix",
            "no prefix to replace",
        ),
        (files(json!({})), "/static", "exactly one of root and alias"),
        (
            files(json!({ "root": "/srv", "alias": "/srv/" })),
            "/static",
            "exactly one of root and alias",
        ),
        (
            files(json!({ "alias": "/srv" })),
            "/static/alias",
            "both end in '/'",
        ),
        (
            json!({ "path": "/img", "static": { "alias": "/srv/" } }),
            "/static/alias",
            "both end in '/'",
        ),
        (
            json!({ "path": "x", "match": "regex", "static": { "alias": "/srv/" } }),
            "/static/alias",
            "both end in '/'",
        ),
        (
            with_root("try", json!(vec!["uri"; 11])),
            "/static/try",
            "at most 10",
        ),
        (
            with_root("try", json!([{ "suffix": "$x" }])),
            "/static/try/0/suffix",
            "the end of a file name",
        ),
        (
            files(json!({ "alias": "/srv/", "try": ["uri", { "path": "/$a" }] })),
            "/static/try/1/path",
            "no '$'",
        ),
        (
            with_root("otherwise", json!({ "path": "/a?b" })),
            "/static/otherwise/path",
            "no '?'",
        ),
    ]);
}

#[test]
fn what_grpc_and_fastcgi_cannot_say() {
    let grpc = |more: Value| {
        let mut location = proxy(more);
        location["grpc"] = location["proxy"].take();
        location
            .as_object_mut()
            .map(|fields| fields.remove("proxy"));
        location
    };
    let fastcgi = |field: &str, value: Value| {
        let mut fastcgi = json!({ "upstream": "back", "root": "/srv" });
        fastcgi[field] = value;
        json!({ "path": "/", "fastcgi": fastcgi })
    };
    refused([
        (
            json!({ "path": "/", "grpc": { "upstream": "none" } }),
            "/grpc/upstream",
            "Upstream/none is not in workspace",
        ),
        (
            json!({ "path": "/", "fastcgi": { "upstream": "none", "root": "/srv" } }),
            "/fastcgi/upstream",
            "Upstream/none is not in workspace",
        ),
        (
            json!({ "path": "/", "grpc": { "upstream": "back" }, "proxy": { "upstream": "back" } }),
            "",
            "exactly one of proxy, grpc, fastcgi",
        ),
        (
            grpc(json!({ "tls": {} })),
            "/grpc/tls",
            "needs scheme: https",
        ),
        (grpc(json!({ "buffer": "2m" })), "/grpc/buffer", "1k to 1m"),
        (
            grpc(json!({ "retry": { "tries": 101 } })),
            "/grpc/retry/tries",
            "1 to 100",
        ),
        (
            fastcgi("split_path_info", json!("^(.+)$")),
            "/fastcgi/split_path_info",
            "two captures",
        ),
        (
            fastcgi(
                "params",
                json!([{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }]),
            ),
            "/fastcgi/params/1/name",
            "written once",
        ),
        (
            fastcgi("params", json!([{ "name": "a b", "value": "1" }])),
            "/fastcgi/params/0/name",
            "capital letters",
        ),
        (
            fastcgi("params", json!([{ "name": "A" }])),
            "/fastcgi/params/0",
            "exactly one of value and variable",
        ),
        (
            fastcgi("retry", json!({ "on": ["error", "http_502"] })),
            "/fastcgi/retry/on/1",
            "not ask another FastCGI server",
        ),
    ]);
}

#[test]
fn what_routes_and_splits_cannot_say() {
    let routes = |when: Value| {
        json!({
            "path": "/a/", "respond": { "status": 200 },
            "routes": [{ "when": when, "respond": { "status": 200 } }],
        })
    };
    let split = |split: Value| proxy(json!({ "split": split }));
    let share = |percent: Value| json!({ "shares": [{ "upstream": "back", "percent": percent }] });
    refused([
        (routes(json!({})), "/routes/0/when", "for some requests"),
        (
            routes(json!({ "methods": ["GET", "GET"] })),
            "/routes/0/when/methods/1",
            "written once",
        ),
        (
            routes(json!({ "methods": ["get"] })),
            "/routes/0/when/methods/0",
            "capital letters",
        ),
        (
            routes(json!({ "headers": [{ "name": "X_A" }] })),
            "/routes/0/when/headers/0/name",
            "letters, digits and '-' only",
        ),
        (
            routes(json!({ "headers": [{ "name": "X-A", "value": "1", "absent": true }] })),
            "/routes/0/when/headers/0",
            "at most one of value, pattern and absent",
        ),
        (
            routes(json!({ "headers": [{ "name": "X-A", "value": " padded" }] })),
            "/routes/0/when/headers/0/value",
            "no spaces at its ends",
        ),
        (
            routes(json!({ "headers": [{ "name": "X-A", "pattern": "(" }] })),
            "/routes/0/when/headers/0/pattern",
            "valid PCRE",
        ),
        (
            routes(json!({ "query": [{ "name": "a-b" }] })),
            "/routes/0/when/query/0/name",
            "letters, digits and '_'",
        ),
        (
            routes(json!({ "cookies": vec![json!({ "name": "a" }); 11] })),
            "/routes/0/when/cookies",
            "at most 10",
        ),
        (
            json!({
                "path": "/a/", "respond": { "status": 200 },
                "routes": vec![json!({ "when": { "methods": ["GET"] }, "respond": { "status": 200 } }); 21],
            }),
            "/routes",
            "at most 20",
        ),
        (
            json!({
                "path": "/a/", "respond": { "status": 200 },
                "routes": vec![json!({
                    "when": { "query": vec![json!({ "name": "a" }); 10] }, "respond": { "status": 200 },
                }); 7],
            }),
            "/routes",
            "at most 60 conditions",
        ),
        (
            json!({
                "path": "/a/", "respond": { "status": 200 },
                "routes": [{ "when": { "methods": ["GET"] } }],
            }),
            "/routes/0",
            "exactly one of",
        ),
        (
            json!({
                "path": "/a/", "respond": { "status": 200 },
                "routes": [{ "when": { "methods": ["GET"] }, "proxy": { "upstream": "none" } }],
            }),
            "/routes/0/proxy/upstream",
            "Upstream/none is not in workspace",
        ),
        (
            json!({
                "path": "/a/", "respond": { "status": 200 },
                "routes": [{ "when": { "methods": ["GET"] }, "static": { "alias": "/srv/" } }],
            }),
            "/routes/0/static/alias",
            "has no alias",
        ),
        (
            json!({
                "path": "/a/", "respond": { "status": 200 },
                "routes": [{
                    "when": { "methods": ["GET"] },
                    "proxy": { "upstream": "back", "rewrite": { "prefix": "/%20/" } },
                }],
            }),
            "/routes/0/proxy/rewrite/prefix",
            "no %XX",
        ),
        (
            split(json!({ "shares": [] })),
            "/proxy/split/shares",
            "1 to 20 shares",
        ),
        (
            split(share(json!(100.5))),
            "/proxy/split/shares/0/percent",
            "0.01 to 100",
        ),
        (
            split(share(json!(0.001))),
            "/proxy/split/shares/0/percent",
            "two decimals",
        ),
        (
            split(json!({ "shares": [
                { "upstream": "back", "percent": 60 }, { "upstream": "other", "percent": 40.01 },
            ] })),
            "/proxy/split/shares",
            "at most 100% together",
        ),
        (
            split(json!({ "shares": [
                { "upstream": "back", "percent": 1 }, { "upstream": "back", "percent": 1 },
            ] })),
            "/proxy/split/shares/1/upstream",
            "one share",
        ),
        (
            split(json!({ "shares": [{ "upstream": "none", "percent": 1 }] })),
            "/proxy/split/shares/0/upstream",
            "Upstream/none is not in workspace",
        ),
        (
            split(
                json!({ "key": { "header": "X_A" }, "shares": [{ "upstream": "back", "percent": 1 }] }),
            ),
            "/proxy/split/key",
            "letters, digits and '-' only",
        ),
    ]);
}
