//! HTTP/3 beside HTTP over TCP.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::Buf as _;

use crate::{
    nginx::{Staged, binaries, free_port, version},
    site::resources,
    tls::{Authority, ask},
};

/// The status, the value of `X-Own` and the body of an answer to a request over QUIC
/// (RFC 9114).
async fn ask_over_quic(
    port: u16,
    path: &str,
    authority: &Authority,
) -> Result<(u16, Option<String>, String), Box<dyn std::error::Error>> {
    let mut tls = authority.client();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls)?;
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse()?)?;
    let address = ([127, 0, 0, 1], port).into();
    let config = quinn::ClientConfig::new(Arc::new(tls));
    let connection = endpoint.connect_with(config, address, "site.test")?.await?;
    let (mut driver, mut requests) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
    let driven = tokio::spawn(async move { poll_fn(|context| driver.poll_close(context)).await });
    let url = format!("https://site.test:{port}{path}");
    let mut stream = requests
        .send_request(http::Request::get(url).body(())?)
        .await?;
    stream.finish().await?;
    let answer = stream.recv_response().await?;
    let mut body = Vec::new();
    while let Some(mut part) = stream.recv_data().await? {
        body.extend_from_slice(&part.copy_to_bytes(part.remaining()));
    }
    let own = answer.headers().get("x-own");
    let own = own
        .map(|value| value.to_str().map(str::to_owned))
        .transpose()?;
    driven.abort();
    Ok((answer.status().as_u16(), own, String::from_utf8(body)?))
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        for (path, own, body) in [("/", None, "plain"), ("/own", Some("a"), "own")] {
            let asked = ask_over_quic(port, path, &authority);
            let asked = async { tokio::time::timeout(Duration::from_secs(20), asked).await };
            let answer = runtime
                .block_on(asked)
                .expect("in time")
                .expect("an answer");
            assert_eq!(answer, (200, own.map(str::to_owned), body.to_owned()));
        }
    }
}
