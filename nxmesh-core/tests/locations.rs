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
