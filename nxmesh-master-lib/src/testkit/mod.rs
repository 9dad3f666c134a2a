//! A master for tests: real ports, real TLS, its own folder, gone when dropped.

mod client;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use nxmesh_core::{contract::storage::Storage, memory::MemoryStorage};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use client::{Answer, ApiClient};

use crate::{Addresses, DataDir, Master, MasterConfig, RunError};

/// What went wrong. Tests unwrap it.
pub type TestError = Box<dyn std::error::Error + Send + Sync>;

/// The administrator of a test master.
pub const ADMIN: &str = "admin";
/// Its password.
pub const PASSWORD: &str = "correct horse battery staple";

/// Where a test master keeps its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    InMemory,
    #[cfg(feature = "sqlite")]
    OnDisk,
}

/// A running master on free loopback ports. Dropping it stops it.
#[derive(Debug)]
pub struct TestMaster {
    folder: TempDir,
    kept: Kept,
    config: MasterConfig,
    addresses: Addresses,
    ca_pem: String,
    stop: CancellationToken,
    running: Option<JoinHandle<Result<(), RunError>>>,
}

impl TestMaster {
    /// Starts one that keeps its state in memory.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from starting.
    pub async fn start() -> Result<Self, TestError> {
        Self::start_with(loopback()).await
    }

    /// Starts one with options of your own, which begin as [`loopback`], in memory.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from starting.
    pub async fn start_with(config: MasterConfig) -> Result<Self, TestError> {
        Self::launch(tempfile::tempdir()?, Kept::InMemory, config, true).await
    }

    /// Starts one that keeps its state in SQLite, so that it can be restarted.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from starting.
    #[cfg(feature = "sqlite")]
    pub async fn start_on_disk() -> Result<Self, TestError> {
        Self::launch(tempfile::tempdir()?, Kept::OnDisk, loopback(), true).await
    }

    async fn launch(
        folder: TempDir,
        kept: Kept,
        mut config: MasterConfig,
        is_first: bool,
    ) -> Result<Self, TestError> {
        let storage: Arc<dyn Storage> = match kept {
            Kept::InMemory => Arc::new(MemoryStorage::new()),
            #[cfg(feature = "sqlite")]
            Kept::OnDisk => {
                use crate::storage::{AtRestKey, SqlStorage};
                let data_dir = DataDir::open(folder.path())?;
                let key = AtRestKey::load_or_create(&data_dir.file("at-rest.key"))?;
                Arc::new(SqlStorage::connect(&data_dir.sqlite_url(), &key).await?)
            }
        };
        let builder = || -> Result<_, TestError> {
            Ok(Master::builder(DataDir::open(folder.path())?)
                .config(config.clone())
                .storage(Arc::clone(&storage)))
        };
        if is_first {
            builder()?.init(ADMIN.parse()?, PASSWORD.into()).await?;
        }
        let master = builder()?.build().await?;
        let addresses = master.addresses();
        // A restart comes back where agents and clients look for it.
        config.api_listen = addresses.api;
        config.agent_listen = addresses.agents;
        let ca_pem = master.ca_pem().to_owned();
        let stop = CancellationToken::new();
        let running = tokio::spawn(master.run(stop.clone()));
        Ok(Self {
            folder,
            kept,
            config,
            addresses,
            ca_pem,
            stop,
            running: Some(running),
        })
    }

    /// Where it is reached.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What agents and clients are to trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The folder with its keys and, on disk, its state.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A client of the API that is not logged in.
    #[must_use]
    pub fn anonymous(&self) -> ApiClient {
        ApiClient::new(self.addresses.api)
    }

    /// A client of the API, logged in as the administrator.
    ///
    /// # Errors
    ///
    /// If the login fails.
    pub async fn client(&self) -> Result<ApiClient, TestError> {
        self.anonymous().log_in(ADMIN, PASSWORD).await
    }

    /// Stops it in good order.
    ///
    /// # Errors
    ///
    /// What it ended with.
    pub async fn stop(mut self) -> Result<(), TestError> {
        self.halt().await
    }

    /// Stops it in good order and starts it again, on the same ports and state.
    ///
    /// # Errors
    ///
    /// What it ended with, or what keeps it from starting; a master that keeps
    /// its state in memory cannot be restarted.
    pub async fn restart(self) -> Result<Self, TestError> {
        self.restart_after(|_| Ok(())).await
    }

    /// As [`restart`](Self::restart), with a change to its folder in between.
    ///
    /// # Errors
    ///
    /// As [`restart`](Self::restart), and what the change ends with.
    pub async fn restart_after(
        mut self,
        change: impl FnOnce(&DataDir) -> Result<(), TestError>,
    ) -> Result<Self, TestError> {
        if self.kept == Kept::InMemory {
            return Err("this master forgets everything; start it on disk".into());
        }
        self.halt().await?;
        change(&DataDir::open(self.folder.path())?)?;
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir()?);
        Self::launch(folder, self.kept, self.config.clone(), false).await
    }

    async fn halt(&mut self) -> Result<(), TestError> {
        self.stop.cancel();
        match self.running.take() {
            Some(running) => Ok(running.await??),
            None => Ok(()),
        }
    }
}

impl Drop for TestMaster {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

/// Options for tests: free ports on loopback, and little patience.
#[must_use]
pub fn loopback() -> MasterConfig {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    MasterConfig {
        api_listen: free,
        agent_listen: free,
        drain_timeout: std::time::Duration::from_secs(5),
        ..MasterConfig::default()
    }
}
