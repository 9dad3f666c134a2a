//! Stream servers, spoken with through a real nginx.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::aws_lc_rs};

use crate::{
    echo,
    nginx::{Nginx, Staged, binaries, free_port, get},
    site::{body, resources, upstream},
    tls::{Authority, ask},
};

/// Each nginx in turn serves these documents.
fn each(documents: &[String]) -> impl Iterator<Item = Nginx> {
    let resources = resources(&documents.concat());
    binaries().into_iter().map(move |binary| {
        let staged = Staged::new(binary, &resources);
        staged.assert_accepted("the streams");
        staged.start()
    })
}

fn server(name: &str, spec: &str) -> String {
    format!("---\nkind: StreamServer\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

fn listen(port: u16) -> String {
    format!("listen: [{{ port: {port}, address: 127.0.0.1 }}]")
}

/// A server that says `name` and what the first bytes it got are.
fn telling(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut bytes = [0; 256];
                let read = stream.read(&mut bytes).unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
                drop(stream.write_all(format!("{name}:{text}").as_bytes()));
            });
        }
    });
    port
}

/// What comes back for `bytes`, until the other side closes.
fn say(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect to nginx");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("set a limit");
    // It may be closed already.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// The first bytes of a client that asks for `name`.
fn client_hello(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a greeting");
    bytes
}

#[test]
fn connections_are_passed_with_the_address_of_the_client() {
    let (plain, proxied) = (free_port(), free_port());
    let backend = telling("backend");
    let documents = [
        server("plain", &format!("{}, pass: backend", listen(plain))),
        server(
            "proxied",
            &format!(
                "{}, pass: backend, send_proxy_protocol: true",
                listen(proxied)
            ),
        ),
        upstream("backend", &[backend]),
    ];
    for _nginx in each(&documents) {
        assert_eq!(say(plain, b"hello"), "backend:hello");
        let answer = say(proxied, b"hello");
        assert!(
            answer.starts_with("backend:PROXY TCP4 127.0.0.1 127.0.0.1 "),
            "{answer}"
        );
    }
}

#[test]
fn who_is_not_let_in_is_not_answered() {
    let (closed, open) = (free_port(), free_port());
    let backend = telling("backend");
    let documents = [
        server(
            "closed",
            &format!(
                "{}, pass: backend, access: {{ lists: [nobody] }}",
                listen(closed)
            ),
        ),
        server(
            "open",
            &format!(
                "{}, pass: backend, access: {{ rules: [{{ allow: 127.0.0.0/8 }}], lists: [nobody] }}",
                listen(open)
            ),
        ),
        upstream("backend", &[backend]),
        "---\nkind: AccessList\nmetadata: { name: nobody }\nspec: { rules: [{ deny: all }] }\n"
            .to_owned(),
    ];
    for _nginx in each(&documents) {
        assert_eq!(say(closed, b"hello"), "");
        assert_eq!(say(open, b"hello"), "backend:hello");
    }
}

#[test]
fn a_text_is_said_byte_for_byte() {
    let port = free_port();
    let text = "costs $5 \\n \"here\"; # {}";
    let quoted = text.replace('\'', "''");
    let documents = [server(
        "text",
        &format!("{}, respond: '{quoted}'", listen(port)),
    )];
    for _nginx in each(&documents) {
        assert_eq!(say(port, b""), text);
    }
}

#[test]
fn tls_is_passed_on_unread_by_the_name_that_is_asked_for() {
    let (strict, lenient) = (free_port(), free_port());
    let routes = "routes: [{ server_names: [db.example.com, \"*.db.example.com\"], upstream: db }, \
                  { server_names: [mail.example.com], upstream: mail }]";
    let documents = [
        server(
            "strict",
            &format!("{}, by_name: {{ {routes} }}", listen(strict)),
        ),
        server(
            "lenient",
            &format!("{}, by_name: {{ {routes}, others: mail }}", listen(lenient)),
        ),
        upstream("db", &[telling("db")]),
        upstream("mail", &[telling("mail")]),
    ];
    for _nginx in each(&documents) {
        for (name, answer) in [
            ("db.example.com", "db:"),
            ("DB.example.com", "db:"),
            ("eu.db.example.com", "db:"),
            ("mail.example.com", "mail:"),
        ] {
            let said = say(strict, &client_hello(name));
            assert!(said.starts_with(answer), "{name}: {said}");
        }
        assert_eq!(say(strict, &client_hello("other.example.com")), "");
        let said = say(lenient, &client_hello("other.example.com"));
        assert!(said.starts_with("mail:"), "{said}");
    }
}

#[test]
fn tls_is_ended_and_the_name_decides() {
    let port = free_port();
    let authority = Authority::new();
    let [one, two] =
        ["one", "two"].map(|name| echo::start_with(move |_| ("200 OK", name.to_owned())));
    let documents = [
        server(
            "ended",
            &format!(
                "{}, tls: {{ certificate: one }}, by_name: {{ routes: [{{ server_names: [one.test], \
                 upstream: one }}], others: two }}",
                listen(port)
            ),
        ),
        authority.sign("one.test").document("one"),
        upstream("one", &[one]),
        upstream("two", &[two]),
    ];
    for _nginx in each(&documents) {
        let answer = ask(port, ("one.test", "one.test"), "/", &authority, None).expect("an answer");
        assert!(answer.ends_with("one"), "{answer}");
    }
}

#[test]
fn shares_of_the_clients_go_elsewhere() {
    let port = free_port();
    let documents = [
        server(
            "split",
            &format!(
                "{}, pass: old, split: {{ shares: [{{ upstream: new, percent: 100 }}] }}",
                listen(port)
            ),
        ),
        upstream("old", &[telling("old")]),
        upstream("new", &[telling("new")]),
    ];
    for _nginx in each(&documents) {
        assert_eq!(say(port, b"hello"), "new:hello");
    }
}

#[test]
fn datagrams_are_answered() {
    let port = free_port();
    let backend = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let address = backend.local_addr().expect("its address");
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((read, from)) = backend.recv_from(&mut bytes) {
            bytes[..read].reverse();
            drop(backend.send_to(&bytes[..read], from));
        }
    });
    let documents = [
        server(
            "dns",
            &format!(
                "{}, protocol: udp, pass: backend, datagrams: {{ requests: 1, responses: 1 }}",
                listen(port)
            ),
        ),
        upstream("backend", &[address.port()]),
    ];
    for _nginx in each(&documents) {
        let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("set a limit");
        client.send_to(b"abc", ("127.0.0.1", port)).expect("send");
        let mut bytes = [0; 64];
        let read = client.recv(&mut bytes).expect("an answer");
        assert_eq!(&bytes[..read], b"cba");
    }
}

/// One upstream for both: what only HTTP can do is left out of the stream.
#[test]
fn an_upstream_serves_http_and_streams() {
    let (http, stream) = (free_port(), free_port());
    let backend = echo::start();
    let spec = "  locations: [{ path: /, proxy: { upstream: backend } }]";
    let documents = [
        crate::site::host("site", http, spec),
        server("stream", &format!("{}, pass: backend", listen(stream))),
        format!(
            "---\nkind: Upstream\nmetadata: {{ name: backend }}\nspec: {{ keepalive: 4, servers: \
             [{{ address: \"127.0.0.1:{backend}\" }}] }}\n"
        ),
    ];
    for _nginx in each(&documents) {
        for port in [http, stream] {
            let answer = get(port, "site.test", b"/asked");
            assert!(body(&answer).starts_with("GET /asked"), "{answer:?}");
        }
    }
}
