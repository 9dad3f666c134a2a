//! Masters that only an HTTP proxy leads to.

use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nxmesh_agent_lib::transport::TransportChoice;
use nxmesh_master_lib::testkit::loopback;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
};

use super::{Scene, proxy::Between, ready_by};

/// A name that only the proxy resolves (RFC 6761, section 6.2).
const NAME: &str = "master.test";

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn both_transports_go_through_a_proxy_that_asks_for_a_password() {
    let mut config = loopback();
    config.server_names = vec![NAME.to_owned()];
    let scene = Scene::with(config).await;
    let master = scene.master.addresses().agents;
    let wanted = format!(
        "\r\nProxy-Authorization: Basic {}\r\n",
        STANDARD.encode("me:p@ss")
    );
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let proxy = Between::serve(move |mut agent| {
        let (wanted, noted) = (wanted.clone(), Arc::clone(&noted));
        async move {
            let head = head(&mut agent).await;
            if !head.contains(&wanted) {
                let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
                return agent.write_all(refusal).await.unwrap();
            }
            let line = head.lines().next().unwrap().to_owned();
            noted.lock().unwrap().push(line);
            let mut master = TcpStream::connect(master).await.unwrap();
            let granted = b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";
            agent.write_all(granted).await.unwrap();
            copy_bidirectional(&mut agent, &mut master).await.ok();
        }
    })
    .await;

    let mut options = scene.options(8443).await;
    options.master_urls = vec![format!("https://{NAME}").parse().unwrap()];
    let mut wrong = options.clone();
    wrong.proxy = Some(
        format!("http://me:wrong@127.0.0.1:{}", proxy.port)
            .parse()
            .unwrap(),
    );
    let mut agent = scene.rig.start_to_master(wrong);
    let status = agent.reached(|it| it.connection.failures >= 2).await;
    let error = status.connection.last_error.unwrap();
    assert!(error.contains("407") && !error.contains("wrong"), "{error}");
    agent.stop().await.unwrap();

    options.proxy = Some(
        format!("http://me:p%40ss@127.0.0.1:{}", proxy.port)
            .parse()
            .unwrap(),
    );
    for (choice, backend) in [
        (TransportChoice::Grpc, "grpc"),
        (TransportChoice::WebSocket, "websocket"),
    ] {
        options.transport = choice;
        let mut agent = scene.rig.start_to_master(options.clone());
        agent.reached(ready_by(backend)).await;
        agent.stop().await.unwrap();
    }
    let asked = asked.lock().unwrap();
    assert!(asked.len() >= 2);
    assert!(
        asked
            .iter()
            .all(|line| line == "CONNECT master.test:8443 HTTP/1.1"),
        "{asked:?}"
    );
}
