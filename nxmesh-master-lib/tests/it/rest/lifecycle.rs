//! First start, restart, stop.

use std::{sync::Arc, time::Duration};

use nxmesh_core::{contract::storage::Storage, memory::MemoryStorage};
use nxmesh_master_lib::{BuildError, DataDir, InitError, Master, MasterConfig};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(30);

fn free_ports() -> MasterConfig {
    let mut config = MasterConfig::default();
    config.api_listen = "127.0.0.1:0".parse().unwrap();
    config.agent_listen = "127.0.0.1:0".parse().unwrap();
    config
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_restart_keeps_everything() {
    use super::{get, head, ok, upstream};
    use nxmesh_master_lib::testkit::TestMaster;

    let master = TestMaster::start_on_disk().await.unwrap();
    let client = master.client().await.unwrap();
    ok(client.apply(upstream("shop", 80)).await.unwrap());
    let before = ok(get(&client, "upstreams/shop").await);
    let ca_pem = master.ca_pem().to_owned();
    let master = master.restart().await.unwrap();
    assert_eq!(master.ca_pem(), ca_pem);
    // The old token still opens the API, which answers the same.
    let after = ok(get(&client, "upstreams/shop").await);
    assert_eq!(after.body, before.body);
    assert_eq!(after.header("etag"), before.header("etag"));
    let client = master.client().await.unwrap();
    assert_eq!(head(&client).await, 1);
    ok(client.apply(upstream("shop", 81)).await.unwrap());
    assert_eq!(head(&client).await, 2);
    master.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_first_start_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let builder =
        || Master::builder(DataDir::open(folder.path()).unwrap()).storage(Arc::clone(&storage));
    let first = builder().init("admin".parse().unwrap(), "correct horse battery".into());
    first.await.unwrap();
    let user = async || {
        let mut unit = storage.read().await.unwrap();
        unit.access().user(&"admin".parse().unwrap()).await.unwrap()
    };
    let before = user().await.unwrap();
    for name in ["admin", "other"] {
        let again = builder().init(name.parse().unwrap(), "another password".into());
        let error = again.await.unwrap_err();
        assert!(matches!(error, InitError::AlreadyInitialised), "{error}");
    }
    assert_eq!(user().await.unwrap(), before);
    let mut unit = storage.read().await.unwrap();
    assert_eq!(unit.access().user_count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_weak_password_is_refused_before_anything_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let builder =
        Master::builder(DataDir::open(folder.path()).unwrap()).storage(Arc::clone(&storage));
    let error = builder
        .init("admin".parse().unwrap(), "short".into())
        .await
        .unwrap_err();
    assert!(matches!(error, InitError::Password(_)), "{error}");
    let mut unit = storage.read().await.unwrap();
    assert_eq!(unit.access().user_count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_taken_port_is_told_by_build() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = free_ports();
    config.agent_listen = taken.local_addr().unwrap();
    let error = Master::builder(DataDir::open(folder.path()).unwrap())
        .config(config)
        .storage(Arc::new(MemoryStorage::new()))
        .build()
        .await
        .unwrap_err();
    assert!(
        matches!(error, BuildError::Listen { whom: "agents", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_stop_is_bounded_even_with_a_silent_connection() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = free_ports();
    config.drain_timeout = Duration::from_millis(200);
    let master = Master::builder(DataDir::open(folder.path()).unwrap())
        .config(config)
        .storage(Arc::new(MemoryStorage::new()))
        .build()
        .await
        .unwrap();
    assert!(!master.is_initialised());
    let addresses = master.addresses();
    let stop = CancellationToken::new();
    let running = tokio::spawn(master.run(stop.clone()));
    let silent = tokio::net::TcpStream::connect(addresses.api).await.unwrap();
    let unshaken = tokio::net::TcpStream::connect(addresses.agents)
        .await
        .unwrap();
    silent.writable().await.unwrap();
    stop.cancel();
    timeout(LONG, running).await.unwrap().unwrap().unwrap();
    tokio::net::TcpStream::connect(addresses.api)
        .await
        .unwrap_err();
    drop((silent, unshaken));
}

#[tokio::test]
async fn the_api_speaks_tls_when_it_is_not_on_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = free_ports();
    config.api_listen = "0.0.0.0:0".parse().unwrap();
    let master = Master::builder(DataDir::open(folder.path()).unwrap())
        .config(config)
        .storage(Arc::new(MemoryStorage::new()))
        .build()
        .await
        .unwrap();
    let port = master.addresses().api.port();
    assert!(master.addresses().api_url.starts_with("https://"));
    let trusted = reqwest::Certificate::from_pem(master.ca_pem().as_bytes()).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(master.run(stop.clone()));
    let client = reqwest::Client::builder()
        .tls_certs_only([trusted])
        .no_proxy()
        .build()
        .unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let answer = client
            .get(format!("https://{host}:{port}/livez"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert!(answer.headers().contains_key("strict-transport-security"));
    }
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(format!("https://localhost:{port}/livez"))
        .send()
        .await
        .unwrap_err();
    stop.cancel();
    timeout(LONG, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn silent_connections_do_not_keep_agents_from_shaking_hands() {
    use nxmesh_master_lib::testkit::TestMaster;

    let master = TestMaster::start().await.unwrap();
    let agents = master.addresses().agents;
    let mut silent = Vec::new();
    // More than may shake hands at the same time.
    for _ in 0..100 {
        silent.push(tokio::net::TcpStream::connect(agents).await.unwrap());
    }
    let trusted = reqwest::Certificate::from_pem(master.ca_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([trusted])
        .no_proxy()
        .build()
        .unwrap();
    // Shorter than the master's own patience with the silent ones.
    let asked = client
        .get(format!("https://localhost:{}/", agents.port()))
        .send();
    let answer = timeout(Duration::from_secs(9), asked)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(silent.len(), 100);
}
