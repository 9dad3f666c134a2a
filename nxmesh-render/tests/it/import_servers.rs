//! Which servers there are after an import, and which of them answers whom.

use crate::import::{answers_the_same_but, of};

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
