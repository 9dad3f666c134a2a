//! What values of directives become fields: the same answers, and the same requests to
//! upstreams.

use std::{collections::BTreeMap, path::Path};

use nxmesh_render::import::{Fate, Note, Scale, import};
use serde_json::{Value, json};

use crate::import_rig::answers_the_same_with;

/// The documents by name, and what is not imported.
fn documents(files: &[(&str, &str)]) -> (BTreeMap<String, Value>, Vec<String>) {
    let files: BTreeMap<_, _> = files
        .iter()
        .map(|(path, text)| (path.into(), (*text).into()))
        .collect();
    let imported = import(&files, Path::new("/n/nginx.conf"), Scale::Include)
        .unwrap_or_else(|error| panic!("{error}"));
    let documents = imported.resources.iter().map(|it| {
        let document = serde_json::to_value(it).expect("a document");
        (it.key().to_string(), document["spec"].clone())
    });
    let lost = |note: &&Note| matches!(note.fate, Fate::Lost { .. });
    let lost = imported.notes.iter().filter(lost);
    (documents.collect(), lost.map(ToString::to_string).collect())
}

#[test]
fn a_long_map_is_whole() {
    let entries: String = (0..10_000)
        .map(|number| format!("/old/page-{number} /new/page-{number};\n"))
        .collect();
    let text = format!(
        "events {{}} http {{ map $uri $moved {{ {entries} }}\n\
         server {{ listen 8080; if ($moved) {{ return 301 $moved; }} location / {{ return 404; }} }} }}"
    );
    let (documents, lost) = documents(&[("/n/nginx.conf", &text)]);
    assert_eq!(lost, [""; 0]);
    let maps = documents["Snippet/imported-http"]["directives"].as_str();
    let entries = maps.map_or(0, |text| text.matches("/new/page-").count());
    assert_eq!(entries, 10_000);
}

/// Lines of two files may be alike, and locations stand in one line.
#[test]
fn each_location_has_a_snippet_of_its_own() {
    let (documents, _) = documents(&[
        (
            "/n/nginx.conf",
            "events {} http { server { listen 8080; include locations/*.conf; } }",
        ),
        (
            "/n/locations/1.conf",
            "location /a/ { root /srv; etag off; } location /b/ { root /srv; max_ranges 1; }",
        ),
        (
            "/n/locations/2.conf",
            "location /c/ { root /srv; read_ahead 1; }",
        ),
    ]);
    let locations = documents["VirtualHost/default"]["locations"].as_array();
    let said: Vec<_> = locations
        .expect("locations")
        .iter()
        .map(|it| {
            let name = it["snippets"][0].as_str().expect("a snippet");
            let text = documents[&format!("Snippet/{name}")]["directives"].as_str();
            (it["path"].as_str(), text.map(str::trim))
        })
        .collect();
    assert_eq!(
        said,
        [
            (Some("/a/"), Some("etag off;")),
            (Some("/b/"), Some("max_ranges 1;")),
            (Some("/c/"), Some("read_ahead 1;")),
        ]
    );
}

/// nginx gives connections that were verified to those who verify nobody; an import does not.
#[test]
fn who_asks_in_another_way_gets_no_connections_of_others() {
    let (documents, lost) = documents(&[(
        "/n/nginx.conf",
        "events {}
http {
    upstream mixed {
        server 10.0.0.1:443;
        keepalive 8;
    }
    upstream alike { server 10.0.0.2:443; keepalive 8 local; }
    server {
        listen 8080;
        proxy_ssl_server_name on;
        location /a { proxy_pass https://mixed; proxy_ssl_verify on; proxy_ssl_name a; proxy_ssl_trusted_certificate /a.pem; }
        location /b { proxy_pass https://mixed; }
        location /c { proxy_pass http://alike; }
        location /d { proxy_pass http://alike; }
    }
}
",
    )]);
    assert_eq!(documents["Upstream/mixed"]["keepalive"], json!(0));
    assert_eq!(documents["Upstream/alike"]["keepalive"], json!(8));
    let [note] = &lost[..] else {
        panic!("{lost:?}");
    };
    assert!(
        note.starts_with("/n/nginx.conf:5: keepalive: NOT IMPORTED"),
        "{note}"
    );
}

#[test]
fn upstreams_ask_whom_the_block_http_asks_for_addresses() {
    let (documents, lost) = documents(&[(
        "/n/nginx.conf",
        "events {}
http {
    resolver 127.0.0.53 [::1]:5353 valid=30s ipv6=off;
    upstream inherits { zone a 64k; server app.test:8080 resolve; server 127.0.0.1:1 backup; }
    upstream own { zone b 64k; resolver 127.0.0.1; server app.test resolve; }
    upstream unsaid { zone c 64k; resolver 127.0.0.1 ipv4=off; server app.test resolve; }
}
",
    )]);
    assert_eq!(
        documents["Upstream/inherits"]["resolver"],
        json!({ "servers": ["127.0.0.53:53", "[::1]:5353"], "valid": "30s", "ipv4_only": true })
    );
    let own = &documents["Upstream/own"];
    assert_eq!(own["resolver"], json!({ "servers": ["127.0.0.1:53"] }));
    assert_eq!(own["servers"][0]["resolve"], true);
    assert_eq!(
        documents["Upstream/unsaid"]["servers"][0]["resolve"],
        Value::Null
    );
    assert_eq!(
        lost,
        [
            "/n/nginx.conf:6: server: NOT IMPORTED: no field says who is asked for its addresses, so they are asked for once"
        ]
    );
}

#[test]
fn upstreams_get_the_headers_they_got() {
    let forwarded = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 5.6.7.8\r\n\
                     X-User: mallory\r\n";
    let requests: Vec<_> = [
        "/bare/a?b=c",
        "/some/a",
        "/all/a",
        "/made/a?b",
        "/made-host/a",
    ]
    .into_iter()
    .flat_map(|path| [(path, ""), (path, forwarded)])
    .map(|(path, headers)| ("values.test", path, headers))
    .collect();
    answers_the_same_with("values", &requests);
}

#[test]
fn clients_do_not_say_who_they_are_in_place_of_a_service_that_is_asked() {
    answers_the_same_with(
        "values",
        &[
            ("values.test", "/asked/a", ""),
            ("values.test", "/asked/a", "X-User: mallory\r\n"),
            (
                "values.test",
                "/asked/a",
                "X-Deny: 1\r\nX-User: mallory\r\n",
            ),
            ("values.test", "/ask", ""),
        ],
    );
}

#[test]
fn answers_have_the_type_that_their_path_says() {
    let paths = [
        "/answers.json",
        "/answers",
        "/answers/a",
        "/answers/a.json",
        "/answers/a.RSS",
        "/answers/a.txt",
        "/answers/a.css",
        "/plain/a.json",
        "/files/a.js",
        "/files/a.m4v",
        "/files/a.css",
        "/files/a",
    ];
    answers_the_same_with("values", &paths.map(|path| ("values.test", path, "")));
}

#[test]
fn redirects_to_paths_are_sent_as_they_were() {
    let paths = ["/here", "/here?a=b", "/as-path"];
    answers_the_same_with("values", &paths.map(|path| ("values.test", path, "")));
}

#[test]
fn what_was_kept_is_kept_and_nothing_else() {
    let headers = [
        "X-Number: 1\r\n",
        "X-Number: 2\r\n",
        "X-Number: 3\r\nX-Renew: 1\r\n",
        "X-Number: 4\r\n",
        "X-Number: 5\r\nPragma: no-cache\r\n",
        "X-Number: 6\r\n",
        "X-Number: 7\r\nX-Key: other\r\nX-Secret: 1\r\n",
        "X-Number: 8\r\nX-Key: other\r\n",
        "X-Number: 9\r\nX-Key: other\r\n",
        "X-Number: 10\r\nCookie: session=1\r\n",
        "X-Number: 11\r\n",
    ];
    let requests: Vec<_> = ["/cached/a", "/sessions/a"]
        .into_iter()
        .flat_map(|path| headers.map(|headers| ("values.test", path, headers)))
        .collect();
    answers_the_same_with("values", &requests);
}

#[test]
fn files_are_tried_below_an_alias() {
    let paths = [
        "/spa/",
        "/spa/data.json",
        "/spa/deep/x",
        "/spa/deep/x?a=b",
        "/other-spa/data.json",
        "/other-spa/x",
    ];
    answers_the_same_with("values", &paths.map(|path| ("values.test", path, "")));
}

#[test]
fn variables_lead_to_the_upstreams_that_they_led_to() {
    let requests = [
        ("/pool/a", ""),
        ("/pool/a", "Cookie: canary=1\r\n"),
        ("/share/a", ""),
        ("/set/a", ""),
    ];
    let requests = requests.map(|(path, headers)| ("values.test", path, headers));
    answers_the_same_with("values", &requests);
}

#[test]
fn a_server_that_answers_all_itself_still_does() {
    answers_the_same_with(
        "values",
        &[
            ("lines.test", "/", ""),
            ("lines.test", "/notes.txt", ""),
            ("www.lines.test", "/a?b=c", ""),
        ],
    );
}
