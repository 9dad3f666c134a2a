//! What was imported answers as what it was imported from.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use nxmesh_core::{
    model::{Resource, ResourceKind, ResourceSet},
    testkit::sample::{SHOP_CERTIFICATE, SHOP_KEY},
};
use nxmesh_render::import::{Fate, Note, Scale, import};
use serde_json::json;

use crate::{
    import_rig::{SOME_PORTS, answers_the_same, answers_the_same_with, files, imported, of},
    nginx::{Staged, binary, free_port},
};

#[test]
fn an_application_behind_nginx() {
    answers_the_same(
        "app",
        &[
            ("app.test", "/"),
            ("www.app.test", "/a/b?c=d"),
            ("nobody.test", "/whoever"),
            ("app.test", "/default-host/x"),
            ("app.test", "/healthz"),
            ("app.test", "/healthz/more"),
            ("app.test", "/x.BAK"),
            ("app.test", "/old/page?x=1"),
            ("app.test", "/private/x.old"),
            ("app.test", "/own-headers"),
            ("app.test", "/expired"),
            ("old.test", "/page?x"),
        ],
    );
}

#[test]
fn static_sites() {
    answers_the_same(
        "static-sites",
        &[
            ("static.test", "/"),
            ("www.static.test", "/notes.txt"),
            ("static.test", "/missing"),
            ("static.test", "/sub/"),
            ("static.test", "/sub/data.json"),
            ("static.test", "/sub"),
            ("bare.test", "/"),
            ("bare.test", "/data.json"),
            ("bare.test", "/missing"),
            ("www12.pattern.test", "/"),
            ("www12.pattern.test", "/exact"),
            ("nobody.test", "/"),
        ],
    );
}

#[test]
fn a_gateway() {
    answers_the_same(
        "gateway",
        &[
            ("api.test", "/users/1"),
            ("api.test", "/orders?o=2"),
            ("api.test", "/named"),
            ("api.test", "/else"),
        ],
    );
}

#[test]
fn an_edge_with_limits_caches_and_members() {
    let member = "Authorization: Basic YmVydDpzZWNyZXQ=\r\n";
    let stranger = "Authorization: Basic YmVydDp3cm9uZw==\r\n";
    answers_the_same_with(
        "edge",
        &[
            ("edge.test", "/api/users?a=1", ""),
            ("edge.test", "/missing", ""),
            ("edge.test", "/404.html", ""),
            ("edge.test", "/notes.txt", "Accept-Encoding: gzip\r\n"),
            ("edge.test", "/limited/1", ""),
            ("edge.test", "/limited/2", ""),
            // The address is taken from the header, so it counts for itself.
            ("edge.test", "/limited/3", "X-Forwarded-For: 192.0.2.7\r\n"),
            ("edge.test", "/limited/4", "X-Forwarded-For: 192.0.2.7\r\n"),
            ("edge.test", "/keyed/1", "X-Key: a\r\n"),
            ("edge.test", "/keyed/2", "X-Key: a\r\n"),
            ("edge.test", "/keyed/3", "X-Key: a\r\n"),
            ("edge.test", "/keyed/4", "X-Key: b\r\n"),
            ("edge.test", "/cached/a", "X-First: 1\r\n"),
            ("edge.test", "/cached/a", "X-Second: 1\r\n"),
            ("edge.test", "/members/a", ""),
            ("edge.test", "/members/a", stranger),
            ("edge.test", "/members/a", member),
            ("edge.test", "/inside/a", ""),
            ("edge.test", "/inside/a", "X-Forwarded-For: 192.0.2.7\r\n"),
            ("edge.test", "/either/a", ""),
            ("edge.test", "/either/a", "X-Forwarded-For: 192.0.2.7\r\n"),
            ("edge.test", "/own/a", ""),
            ("edge.test", "/plain/data.json", ""),
            ("www.edge.test", "/a?b=c", ""),
            ("gone.test", "/a", ""),
        ],
    );
}

#[test]
fn applications_behind_their_files() {
    answers_the_same(
        "php",
        &[
            ("shop.test", "/"),
            ("shop.test", "/notes.txt"),
            ("shop.test", "/cart/7?item=1"),
            ("shop.test", "/index.php?x=1"),
            ("shop.test", "/sub/"),
            ("shop.test", "/.htaccess"),
            ("rails.test", "/notes.txt"),
            ("rails.test", "/carts/7?x=1"),
            ("rails.test", "/assets/missing.png"),
            ("spa.test", "/deep/link?x=1"),
            ("spa.test", "/notes.txt"),
            ("spa.test", "/exact"),
            ("spa.test", "/nested/api/x"),
            ("spa.test", "/nested/x.cgi"),
        ],
    );
}

/// What is said by fields is worth more than that it answers the same.
#[test]
fn what_has_a_field_is_no_snippet() {
    let left = |case: &str| -> Vec<String> {
        let files = files(case, SOME_PORTS, Path::new("/srv"));
        let entry = Path::new("/etc/nginx/nginx.conf");
        let imported = import(&files, entry, Scale::Full).unwrap_or_else(|error| panic!("{error}"));
        let notes = imported.notes.iter();
        let left = notes.filter(|note| !matches!(note.fate, Fate::Replaced { .. }));
        left.map(ToString::to_string).collect()
    };
    let none: [&str; 0] = [];
    assert_eq!(
        left("edge"),
        [
            "/etc/nginx/nginx.conf:43: internal: in Snippet/edge.test-41-location",
            "/etc/nginx/nginx.conf:19: gzip: in Snippet/imported-http",
            "/etc/nginx/nginx.conf:20: gzip_types: in Snippet/imported-http",
        ]
    );
    assert_eq!(
        left("php"),
        ["/etc/nginx/nginx.conf:31: log_not_found: in Snippet/shop.test-29-location",]
    );
    assert_eq!(left("streams"), none);
}

#[test]
fn streams_and_the_process_are_imported_for_the_whole_of_nginx_conf() {
    let files = files("streams", SOME_PORTS, Path::new("/srv"));
    let entry = Path::new("/etc/nginx/nginx.conf");
    let imported = import(&files, entry, Scale::Full).unwrap_or_else(|error| panic!("{error}"));
    let mut found: Vec<_> = imported
        .resources
        .iter()
        .map(|it| {
            (
                it.key().to_string(),
                serde_json::to_value(it).expect("a document"),
            )
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "NginxSettings/imported",
            "StreamServer/tcp-5432",
            "StreamServer/tcp-8443",
            "StreamServer/udp-5353",
            "Upstream/127.0.0.1-8081",
            "Upstream/db",
            "Upstream/dns",
            "Upstream/shop",
        ]
    );
    let spec = |name: &str| {
        let (_, document) = found
            .iter()
            .find(|(it, _)| it == name)
            .expect("it is there");
        document["spec"].clone()
    };
    let settings = spec("NginxSettings/imported");
    assert_eq!(settings["worker_processes"], json!({ "count": 2 }));
    assert_eq!(settings["worker_connections"], 2048);
    let db = spec("StreamServer/tcp-5432");
    assert_eq!(db["pass"], "db");
    assert_eq!(db["timeouts"]["idle"], "3600s");
    assert_eq!(db["limits"]["connections"], 20);
    assert_eq!(db["access"]["rules"][0]["allow"], "10.0.0.0/8");
    let by_name = &spec("StreamServer/tcp-8443")["by_name"];
    assert_eq!(by_name["others"], "127.0.0.1-8081");
    assert_eq!(by_name["routes"][0]["upstream"], "shop");
    assert_eq!(
        by_name["routes"][0]["server_names"],
        json!(["shop.test", "*.shop.test"])
    );
    assert_eq!(spec("StreamServer/udp-5353")["datagrams"]["responses"], 1);
    let Some(nginx) = binary() else { return };
    let resources: ResourceSet = imported.resources.into_iter().collect();
    Staged::new(nginx, &resources).assert_accepted("the streams");
}

#[test]
fn a_second_import_is_the_same() {
    for case in ["app", "static-sites", "gateway", "edge", "php", "streams"] {
        let files = files(case, SOME_PORTS, Path::new("/srv"));
        assert_eq!(imported(&files), imported(&files));
    }
}

#[test]
fn what_has_no_field_is_told_with_its_place() {
    let files = files("app", SOME_PORTS, Path::new("/srv"));
    let imported = imported(&files);
    let told: Vec<String> = imported.notes.iter().map(ToString::to_string).collect();
    for expected in [
        "/etc/nginx/nginx.conf:22: gzip: in Snippet/imported-http",
        "/etc/nginx/nginx.conf:15: types_hash_max_size: replaced: NxMesh sets it",
    ] {
        assert!(
            told.iter().any(|note| note == expected),
            "{expected:?} is missing in\n{}",
            told.join("\n")
        );
    }
    assert!(
        imported
            .notes
            .iter()
            .all(|note| !matches!(note.fate, Fate::Lost { .. })),
        "{told:#?}"
    );
    let kinds = |kind| {
        let all = imported.resources.iter().map(Resource::kind);
        all.filter(|other| *other == kind).count()
    };
    assert_eq!(kinds(ResourceKind::VirtualHost), 2);
    assert_eq!(kinds(ResourceKind::Upstream), 2);
}

#[test]
fn what_must_not_be_said_is_lost_and_told() {
    let conf = "events {}
load_module evil.so;
http {
    perl_require x.pm;
    server {
        listen unix:/tmp/x.sock;
        listen 8080;
        server_name a.test;
        location / { root /srv; }
        location /x { alias /etc/; }
    }
}
stream { server { listen 53; } }
";
    let files = BTreeMap::from([(PathBuf::from("/n/nginx.conf"), conf.as_bytes().to_vec())]);
    let imported =
        import(&files, Path::new("/n/nginx.conf"), Scale::Include).expect("it is configuration");
    let lost: Vec<(u32, &str)> = imported
        .notes
        .iter()
        .filter(|note| matches!(note.fate, Fate::Lost { .. }))
        .map(|note| (note.line, note.directive.as_str()))
        .collect();
    assert_eq!(
        lost,
        [
            (13, "stream"),
            (6, "listen"),
            (10, "location"),
            (4, "perl_require")
        ]
    );
}

#[test]
fn nothing_is_left_out_without_a_word() {
    let (lost, documents) = of("events {}
http {
    access_log /var/log/a.log;
    access_log /var/log/b.log;
    server {
        listen 8443 ssl;
        server_name bare.test;
    }
    server {
        listen 8080;
        server_name a.test;
        location / {
            proxy_pass http://127.0.0.1:9000;
            proxy_set_header X-Odd \"$host-$scheme\";
            proxy_redirect ~^x y;
        }
    }
}
stream {
    map $ssl_preread_server_name $by_pattern { ~^a 127.0.0.1:1; }
    server { listen 9443; ssl_preread on; proxy_pass $by_pattern; }
}
");
    let told: Vec<&str> = lost
        .iter()
        .map(|note| note.split(": ").take(2).last().unwrap())
        .collect();
    let lines: Vec<&str> = lost
        .iter()
        .map(|note| note.split(':').nth(1).unwrap())
        .collect();
    // The header is in the Snippet with the rest of its location.
    assert_eq!(
        told,
        ["server", "access_log", "access_log", "server"],
        "{lost:#?}"
    );
    assert_eq!(lines, ["5", "3", "4", "21"]);
    assert!(!documents.contains_key("VirtualHost/bare.test"));
    let snippet = documents["Snippet/a.test-server"]["directives"].as_str();
    assert!(
        snippet.is_some_and(|text| text.contains("X-Odd")),
        "{snippet:?}"
    );
}

#[test]
fn caches_and_pages_of_applications_are_fields() {
    let (lost, documents) = of("events {}
http {
    fastcgi_cache_path /var/cache/php levels=1:2 keys_zone=php:20m inactive=1h max_size=2g;
    limit_req_zone $binary_remote_addr zone=each:1m rate=5r/s;
    server {
        listen 8080;
        server_name a.test;
        root /srv/app;
        fastcgi_cache_key $scheme$request_method$host$request_uri;
        limit_req zone=each burst=5;
        limit_req_log_level warn;
        location ~ \\.php$ {
            fastcgi_pass 127.0.0.1:9000;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_intercept_errors on;
            fastcgi_cache php;
            fastcgi_cache_valid 200 10m;
            fastcgi_cache_use_stale error updating http_500;
            fastcgi_cache_bypass $cookie_session;
            fastcgi_no_cache $cookie_session;
        }
        location /odd/ {
            fastcgi_pass 127.0.0.1:9000;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_cache php;
            fastcgi_cache_key $uri$made_up;
            location /odd/more/ {
                fastcgi_pass 127.0.0.1:9000;
                fastcgi_cache php;
            }
        }
    }
}
");
    let host = &documents["VirtualHost/a.test"];
    let php = &host["locations"][0];
    let rules = json!({
        "zone_size": "20m", "inactive": "3600s", "max_size": "2048m",
        "valid": [{ "statuses": [200], "time": "600s" }],
        "use_stale": ["error", "updating", "http500"],
        "bypass": [{ "cookie": "session" }],
    });
    assert_eq!(php["cache"]["rules"], rules, "{php:#}");
    assert_eq!(php["intercept_errors"], json!(true));
    assert_eq!(host["rate_limit"]["log_level"], json!("warn"));
    // A Snippet that named a cache would be refused by nginx.
    let lines: Vec<&str> = lost
        .iter()
        .map(|note| note.split(':').nth(1).unwrap())
        .collect();
    assert_eq!(lines, ["25", "29"], "{lost:#?}");
    let name = host["locations"][1]["snippets"][0]
        .as_str()
        .expect("a snippet");
    let snippet = documents[&format!("Snippet/{name}")]["directives"].as_str();
    assert_eq!(snippet, Some("fastcgi_cache_key $uri$made_up;\n"));
}

#[test]
fn strangers_are_shown_no_certificate_and_http3_is_a_field() {
    let (lost, documents) = of("events {}
http {
    server {
        listen 8443 ssl default_server;
        server_name _;
        ssl_reject_handshake on;
    }
}
");
    assert_eq!(lost, [""; 0]);
    let spec = &documents["VirtualHost/default"];
    assert_eq!(spec["reject_handshake"], true);
    assert_eq!(spec["listen"][0]["tls"], true);

    let conf = "events {}
http {
    server {
        listen 8443 ssl;
        listen 8443 quic reuseport;
        http3 on;
        server_name a.test;
        ssl_certificate tls/a.pem;
        ssl_certificate_key tls/a.key;
        location / { return 200 a; }
    }
}
";
    let host = with_certificate(conf);
    let listens = host["listen"].as_array().expect("ports");
    assert_eq!(listens.len(), 1, "{host}");
    assert_eq!(listens[0]["http3"], true);
    assert_eq!(listens[0]["tls"], true);
}

/// The one host of a configuration beside which a certificate lies.
fn with_certificate(conf: &str) -> serde_json::Value {
    let files = [
        ("/n/nginx.conf", conf),
        ("/n/tls/a.pem", SHOP_CERTIFICATE),
        ("/n/tls/a.key", SHOP_KEY),
    ];
    let files: BTreeMap<PathBuf, Vec<u8>> =
        files.map(|(path, text)| (path.into(), text.into())).into();
    let imported = import(&files, Path::new("/n/nginx.conf"), Scale::Include)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut hosts = imported.resources.iter();
    let host = hosts.find(|it| it.kind() == ResourceKind::VirtualHost);
    let document = serde_json::to_value(host.expect("a host")).expect("a document");
    let lost = |note: &&Note| matches!(note.fate, Fate::Lost { .. });
    assert_eq!(imported.notes.iter().find(lost), None);
    if document["spec"]["listen"][0]["http3"] != true
        && let Some(nginx) = binary()
    {
        let resources: ResourceSet = imported.resources.into_iter().collect();
        Staged::new(nginx, &resources).assert_accepted("the host");
    }
    document["spec"].clone()
}

#[test]
fn what_is_said_of_tls_is_fields() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, SHOP_CERTIFICATE).expect("write it");
    let (port, ca) = (free_port(), ca.display().to_string());
    let host = with_certificate(&format!(
        "events {{}}
http {{
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:all:5m;
    server {{
        listen {port} ssl http2;
        server_name a.test;
        ssl_certificate tls/a.pem;
        ssl_certificate_key tls/a.key;
        ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
        ssl_prefer_server_ciphers on;
        ssl_session_timeout 2h;
        ssl_buffer_size 4k;
        ssl_verify_client optional;
        ssl_client_certificate {ca};
        ssl_verify_depth 2;
        location / {{ return 200 a; }}
    }}
}}
"
    ));
    assert_eq!(host["listen"][0]["tls"], true);
    assert_eq!(host["listen"][0]["http2"], true);
    assert_eq!(
        host["tls"],
        json!({
            "certificate": "a.test",
            "policy": "intermediate",
            "ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256",
            "prefer_server_ciphers": true,
            "session": { "cache": "5m", "timeout": "7200s" },
            "buffer_size": "4k",
            "client": {
                "trusted": { "file": ca },
                "verify": "optional",
                "depth": 2,
            },
        })
    );
}
