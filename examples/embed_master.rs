//! A master inside another program: own storage, free ports, no process of its own.
//!
//! Run it with `cargo run -p nxmesh-examples --example embed_master`.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use nxmesh_core::{contract::storage::Storage, memory::MemoryStorage};
use nxmesh_master_lib::{DataDir, Master, MasterConfig, testkit::ApiClient};
use tokio_util::sync::CancellationToken;

const SHOP: &str = r#"
kind: Upstream
metadata: { name: shop-backend }
spec: { balance: least_conn, servers: [{ address: "10.0.0.11:8080" }, { address: "10.0.0.12:8080" }] }
---
kind: VirtualHost
metadata: { name: shop }
spec:
  selector: "env=prod"
  server_names: [shop.example.com]
  listen: [{ port: 80 }]
  locations: [{ path: /, proxy: { upstream: shop-backend } }]
"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // Any implementation of the storage contract fits here; this one forgets.
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());

    // Once in the life of a master: keys, CA and the administrator.
    Master::builder(DataDir::open(folder.path())?)
        .storage(Arc::clone(&storage))
        .init("admin".parse()?, "correct horse battery staple".into())
        .await?;

    let mut config = MasterConfig::default();
    config.api_listen = "127.0.0.1:0".parse()?;
    config.agent_listen = "127.0.0.1:0".parse()?;
    let master = Master::builder(DataDir::open(folder.path())?)
        .config(config)
        .storage(storage)
        .build()
        .await?;
    let addresses = master.addresses();
    println!("api listening on {}", addresses.api_url);
    println!("agents connect to {}", addresses.agent_url);

    // The host decides when to stop; the library handles no signals.
    let stop = CancellationToken::new();
    let running = tokio::spawn(master.run(stop.clone()));

    let client = ApiClient::new(addresses.api)
        .log_in("admin", "correct horse battery staple")
        .await
        .map_err(|error| anyhow!(error))?;
    let written = client.apply(SHOP).await.map_err(|error| anyhow!(error))?;
    println!("applied: {} {}", written.status, written.text());
    let shop = client
        .get("/api/v1/workspaces/default/virtual-hosts/shop")
        .await
        .map_err(|error| anyhow!(error))?;
    println!(
        "read back at revision {}: {}",
        shop.header("etag"),
        shop.text()
    );
    anyhow::ensure!(shop.status.is_success(), "the virtual host is not there");

    stop.cancel();
    tokio::time::timeout(Duration::from_secs(15), running)
        .await
        .context("the master did not stop in time")???;
    Ok(())
}
