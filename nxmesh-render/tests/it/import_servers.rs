//! Which servers there are after an import, and which of them answers whom.

use crate::import_rig::{Told, answers, answers_the_same_but, of, of_files};

#[test]
fn the_default_server_need_not_be_the_first() {
    let lost = answers_the_same_but(
        "sites-enabled",
        &[
            ("blog.test", "/", ""),
            ("BLOG.test", "/x", ""),
            ("shop.test", "/", ""),
            ("www.shop.test", "/", ""),
            ("twice.test", "/", ""),
            ("nobody.test", "/", ""),
            ("_", "/", ""),
        ],
    );
    assert_eq!(lost, [""; 0]);
}

#[test]
fn servers_of_sockets_that_cannot_be_said_are_left_out() {
    let (lost, documents) = of("events {}
http {
    server {
        listen unix:/run/private.sock;
        location / { return 200 private; }
    }
    server {
        listen unix:/run/status.sock;
        listen 8081;
        location / { return 200 both; }
    }
    server { location / { return 200 plain; } }
    server {
        listen localhost:8082;
        location / { return 200 local; }
    }
}
");
    assert_eq!(
        lost,
        [
            "/n/nginx.conf:4: listen: NOT IMPORTED: a socket is a port with or without an IP address",
            "/n/nginx.conf:3: server: NOT IMPORTED: none of its sockets can be said, so it is left out",
            "/n/nginx.conf:8: listen: NOT IMPORTED: a socket is a port with or without an IP address",
        ]
    );
    let hosts = documents.values().filter(|it| it["listen"].is_array());
    let listens: Vec<_> = hosts
        .map(|host| {
            let listen = &host["listen"][0];
            (
                listen["port"].as_u64(),
                listen["address"].as_str(),
                host["locations"][0]["respond"]["body"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        listens,
        [
            (Some(8081), Some("0.0.0.0"), Some("both")),
            (Some(80), Some("0.0.0.0"), Some("plain")),
            (Some(8082), Some("127.0.0.1"), Some("local")),
        ]
    );
}

#[test]
fn one_server_that_cannot_be_said_does_not_keep_out_the_others() {
    let (lost, documents) = of("events {}
http {
    server {
        listen 50051 http2;
        server_name grpc.test;
        location / { return 200 grpc; }
    }
    server {
        listen 8081 default_server;
        server_name _;
        location / { return 200 stranger; }
    }
    server {
        listen 8081;
        server_name b.test \"\";
        location / { return 200 b; }
    }
}
");
    assert_eq!(
        lost,
        ["/n/nginx.conf:4: listen: NOT IMPORTED: HTTP/2 without TLS"]
    );
    let names = &documents["VirtualHost/b.test"]["server_names"];
    assert_eq!(*names, serde_json::json!(["b.test"]));
}

#[test]
fn who_cannot_be_read_is_not_let_in() {
    let (lost, documents) = with_people("bert:{PLAIN}secret\n# nobody\n");
    let users = &documents["VirtualHost/a.test"]["locations"][0]["basic_auth"]["users"];
    assert_eq!(users["list"][0]["name"], "nobody", "{users}");
    assert_eq!(users["realm"], "Restricted");
    assert_eq!(
        lost,
        [
            "/n/nginx.conf:9: auth_basic_user_file: NOT IMPORTED: the passwords of 1 people are hashed as no field can say, so they are not let in"
        ]
    );
    let anna = "anna:$apr1$5Gd0Y1Vj$xbFhFh1BrxV2n7aZ0lUOl.";
    let (_, documents) = with_people(&format!("bert:{{PLAIN}}secret\n{anna}\n"));
    let users = &documents["VirtualHost/a.test"]["locations"][0]["basic_auth"]["users"];
    let list = users["list"].as_array().map(Vec::len);
    assert_eq!((list, &users["list"][0]["name"]), (Some(1), &"anna".into()));
}

/// A location for the people of a file, and what is told of them.
fn with_people(people: &str) -> Told {
    let conf = "events {}
http {
    server {
        listen 8081;
        server_name a.test;
        location / {
            root /srv;
            auth_basic $host;
            auth_basic_user_file people;
        }
    }
}
";
    of_files(&[("/n/nginx.conf", conf), ("/n/people", people)])
}

#[test]
fn a_blog_as_a_distribution_runs_it() {
    let lost = answers_the_same_but(
        "wordpress",
        &[
            ("wp.test", "/", ""),
            ("wp.test", "/notes.txt", ""),
            ("wp.test", "/index.php?x=1", ""),
            ("wp.test", "/index.php/more/path?x=1", ""),
            ("wp.test", "/missing.php", ""),
            ("wp.test", "/a/permanent/link/?p=7", ""),
            ("wp.test", "/uploads/e.php", ""),
            ("wp.test", "/uploads/e.php/x", ""),
            ("wp.test", "/.git/config", ""),
            ("wp.test", "/sub/", ""),
            ("wp.test", "/missing.png", ""),
            ("wp.test", "/robots.txt", ""),
            ("wp.test", "/wp-admin", ""),
            ("wp.test", "/sitemap-a.xml", ""),
            ("old.wp.test", "/", ""),
            ("old.wp.test", "/notes.txt", ""),
            ("old.wp.test", "/nothing/here", ""),
            ("drupal.test", "/notes.txt", ""),
            ("drupal.test", "/node/1", ""),
            ("drupal.test", "/index.php", ""),
            ("drupal.test", "/named/x", ""),
        ],
    );
    assert_eq!(lost, [""; 0]);
}

#[test]
fn what_is_said_around_a_location_counts_in_its_snippet() {
    let lost = answers_the_same_but(
        "inherited",
        &[
            ("over.test", "/", ""),
            ("over.test", "/variable/x", ""),
            ("over.test", "/own/x", ""),
            ("over.test", "/own/x?refuse=1", ""),
            ("over.test", "/nested/deep/x", ""),
            ("over.test", "/nested/own/x", ""),
            ("over.test", "/nested/x.txt", ""),
            ("over.test", "/nested/missing", ""),
            ("over.test", "/sub/", ""),
            ("over.test", "/sub/data.json", ""),
            ("over.test", "/sub/data.json?refuse=1", ""),
            ("over.test", "/first/x", ""),
            ("over.test", "/second/x", ""),
            ("over.test", "/third/x", ""),
            ("over.test", "/fourth/x", ""),
            ("bare.test", "/x", ""),
            ("bare.test", "/outer/x", ""),
            ("bare.test", "/outer/inner/x", ""),
            ("return.test", "/", ""),
            ("return.test", "/health", ""),
            ("return.test", "/own/", ""),
            ("return.test", "/turn/", ""),
            ("return.test", "/turn/?key=secret", ""),
            ("return.test", "/twice/", ""),
            ("moved.test", "/x", ""),
            ("turned.test", "/notes.txt", ""),
            ("www.turned.test", "/x?y", ""),
        ],
    );
    assert_eq!(lost, [""; 0]);
}

#[test]
fn locations_in_locations_are_found_as_they_were() {
    let paths = [
        "/",
        "/index.html",
        "/x.php",
        "/uploads",
        "/uploads/",
        "/uploads/e.php",
        "/uploads/e.php?x=1",
        "/uploads/missing.php",
        "/uploads/e.PHP",
        "/uploads/a.txt",
        "/uploads/a.Html",
        "/uploads/exact",
        "/uploads/exact/x.txt",
        "/uploads/deep/x",
        "/uploads/deep/x.txt",
        "/uploads/deep/x.php",
        "/uploads/plain/x",
        "/uploads/plain/x.txt",
        "/uploads/plain/x.php",
        "/uploads/other/x",
        "/uploads/other/x.txt",
        "/uploads/other/x.php",
        "/notes.txt",
        "/notes.md",
        "/x.txt",
    ];
    let tools = paths.map(|path| ("tools.test", path, ""));
    let files = [
        "/files/a",
        "/files/a.js",
        "/files/a.css",
        "/files/a.css.js",
        "/a.js",
    ];
    let files = files.map(|path| ("priority.test", path, ""));
    let lost = answers_the_same_but("nested", &[&tools[..], &files].concat());
    assert_eq!(lost, [""; 0]);
}

#[test]
fn what_was_closed_stays_closed() {
    let member = "Authorization: Basic YmVydDpzZWNyZXQ=\r\n";
    let requests = [
        ("people.test", "/unreadable/x", ""),
        ("people.test", "/unreadable/x", member),
        ("people.test", "/realm/x", ""),
        ("people.test", "/realm/x", member),
        ("people.test", "/nested/closed/x", ""),
        ("people.test", "/nested/closed/x", member),
        ("people.test", "/nested/open/x", ""),
        ("people.test", "/methods/x", ""),
        ("people.test", "/open/x", ""),
        ("all.test", "/x", ""),
        ("all.test", "/odd/x", member),
        ("all.test", "/free/x", ""),
        ("scripts.test", "/notes.txt", ""),
        ("scripts.test", "/index.php", ""),
        ("scripts.test", "/sub/data.json", ""),
    ];
    let (before, after, lost) = answers("protected", &requests);
    let statuses: Vec<(u16, u16)> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| (before.0, after.0))
        .collect();
    if statuses.is_empty() {
        return;
    }
    assert_eq!(
        statuses,
        [
            (401, 401),
            (403, 401),
            (401, 401),
            (200, 200),
            (401, 401),
            (200, 200),
            (200, 200),
            (200, 503),
            (200, 200),
            (401, 401),
            (403, 401),
            (200, 200),
            (200, 200),
            (403, 403),
            (403, 503),
        ],
        "{lost:#?}"
    );
    let told = |line: u32, directive: &str| {
        let place = format!("/etc/nginx/nginx.conf:{line}: {directive}: NOT IMPORTED");
        lost.iter().any(|note| note.starts_with(&place))
    };
    for (line, directive) in [
        (12, "auth_basic_user_file"),
        (30, "auth_basic"),
        (29, "location"),
        (40, "auth_basic_user_file"),
        (54, "location"),
    ] {
        assert!(told(line, directive), "{line} {directive} in {lost:#?}");
    }
}
