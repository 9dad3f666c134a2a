//! HTTP/3 beside HTTP over TCP.

use std::{net::UdpSocket, time::Duration};

use crate::{
    nginx::{Staged, binaries, free_port, version},
    site::resources,
    tls::{Authority, ask},
};

/// A packet of a version of QUIC that nobody speaks, as long as the first of a
/// connection has to be (RFC 9000, sections 14.1 and 15).
fn greeting() -> Vec<u8> {
    let mut packet = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a];
    packet.extend([8, 1, 2, 3, 4, 5, 6, 7, 8]);
    packet.extend([8, 9, 10, 11, 12, 13, 14, 15, 16]);
    packet.resize(1200, 0);
    packet
}

#[test]
fn it_is_offered_over_tcp_and_spoken_over_udp() {
    let port = free_port();
    let authority = Authority::new();
    let documents = format!(
        "---\nkind: VirtualHost\nmetadata: {{ name: site }}\nspec:\n  server_names: [site.test]\n  \
         listen: [{{ port: {port}, address: 127.0.0.1, tls: true, http3: true }}]\n  \
         tls: {{ certificate: site }}\n  locations:\n    \
         - {{ path: /, respond: {{ status: 200, body: plain }} }}\n    \
         - {{ path: /own, respond: {{ status: 200, body: own }}, \
         response_headers: [{{ name: X-Own, value: a }}] }}\n{}",
        authority.sign("site.test").document("site")
    );
    let resources = resources(&documents);
    for binary in binaries() {
        let has = version(&binary);
        let staged = match Staged::try_new(binary, &resources, None) {
            Ok(staged) => staged,
            Err(error) => {
                assert!(has < "1.25.0".parse().expect("a version"), "{has}: {error}");
                assert!(error.to_string().contains("1.25.0"), "{error}");
                continue;
            }
        };
        staged.assert_accepted("the site");
        let _nginx = staged.start();
        for path in ["/", "/own"] {
            let answer = ask(port, ("site.test", "site.test"), path, &authority, None)
                .expect("an answer over TCP");
            let told = format!("Alt-Svc: h3=\":{port}\"; ma=86400\r\n");
            assert!(answer.contains(&told), "{path}: {answer}");
        }
        let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("set a limit");
        client
            .send_to(&greeting(), ("127.0.0.1", port))
            .expect("send");
        let mut packet = [0; 1500];
        let read = client.recv(&mut packet).expect("an answer over UDP");
        // The versions it knows (RFC 9000, section 17.2.1); the first is QUIC 1.
        assert_eq!(packet[1..5], [0; 4], "{:?}", &packet[..read]);
        let versions = packet[23..read].chunks(4);
        assert!(
            versions.clone().any(|it| it == [0, 0, 0, 1]),
            "{versions:?}"
        );
    }
}
