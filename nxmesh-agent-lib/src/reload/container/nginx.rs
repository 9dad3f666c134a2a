//! The nginx of a container, watched here or through the engine.

use std::{fs::File, io::Seek as _, path::PathBuf};

use async_trait::async_trait;
use nxmesh_core::contract::reloader::{Generation, ReloadError};

use super::{
    ContainerReloader, answers::Inspected, docker::Docker, stream::Followed, table::Table,
    unix_time,
};
use crate::{
    nginx::Master,
    reload::{
        error_log::ErrorLog,
        proof::{self, Watched},
    },
};

/// The nginx of a container.
#[derive(Debug)]
pub(in crate::reload) struct Contained {
    docker: Docker,
    container: String,
    tty: bool,
    first: u32,
    master: u32,
    /// The master, where it is seen in `/proc` here.
    here: Option<Master>,
    takes_signals: Result<(), String>,
    named: Vec<String>,
    error_log: Option<PathBuf>,
}

impl Contained {
    pub(super) fn new(
        docker: Docker,
        inspected: &Inspected,
        master: u32,
        table: &Table,
        error_log: Option<PathBuf>,
    ) -> Self {
        // The number may be that of something else here: so are its workers then.
        let here = Master::at(master).filter(|here| {
            let (listed, seen) = (table.generation(master), here.generation());
            !listed.workers.is_empty() && listed.workers == seen.workers
        });
        Self {
            docker,
            container: inspected.id.clone(),
            tty: inspected.config.tty,
            first: inspected.state.pid,
            master,
            here,
            takes_signals: table.takes_signals(),
            named: table.named(master),
            error_log,
        }
    }

    pub(super) fn container(&self) -> &str {
        &self.container
    }

    pub(super) fn takes_signals(&self) -> Result<(), String> {
        self.takes_signals.clone()
    }

    /// The configuration and the prefix it was started with, as arguments.
    pub(super) fn named(&self) -> &[String] {
        &self.named
    }

    /// The error log, where that is a file that is seen here.
    pub(super) fn error_log(&self) -> Option<File> {
        let of_master = self.here.as_ref().and_then(Master::error_log);
        of_master.or_else(|| {
            let path = self.error_log.as_ref()?;
            // Images link it to standard error: here that would be the agent's own.
            let regular = path.metadata().is_ok_and(|it| it.is_file());
            regular.then(|| File::open(path).ok()).flatten()
        })
    }

    /// `None` once the container does not run.
    async fn table(&self) -> Result<Option<Table>, ReloadError> {
        match self.docker.top(&self.container).await {
            Ok(top) => Table::read(&top, self.first).map(Some),
            Err(error) if error.is(http::StatusCode::CONFLICT) => Ok(None),
            Err(error) => Err(error),
        }
        .map_err(proof::backend(ContainerReloader::NAME, "look at nginx"))
    }

    /// The number the master calls itself by, if that can be known.
    fn own_pid(&self) -> Option<u32> {
        match &self.here {
            Some(here) => Some(here.own_pid()),
            None => (self.master == self.first).then_some(1),
        }
    }
}

#[async_trait]
impl Watched for Contained {
    async fn children(&self) -> Result<Vec<u32>, ReloadError> {
        if let Some(here) = &self.here {
            return Ok(here.children());
        }
        let table = self.table().await?;
        Ok(table.map_or_else(Vec::new, |table| table.children(self.master).collect()))
    }

    async fn generation(&self) -> Result<Generation, ReloadError> {
        if let Some(here) = &self.here {
            return Ok(here.generation());
        }
        let nobody = Generation {
            master_pid: self.master,
            workers: [].into(),
            draining: 0,
            stopped: false,
        };
        let table = self.table().await?;
        Ok(table.map_or(nobody, |table| table.generation(self.master)))
    }

    async fn is_alive(&self) -> Result<bool, ReloadError> {
        if let Some(here) = &self.here {
            return Ok(here.is_alive());
        }
        let table = self.table().await?;
        Ok(table.is_some_and(|table| table.has(self.master)))
    }

    async fn is_asleep(&self) -> Result<bool, ReloadError> {
        if let Some(here) = &self.here {
            return Ok(here.is_asleep());
        }
        let table = self.table().await?;
        Ok(table.is_some_and(|table| table.is_asleep(self.master)))
    }

    async fn follow_log(&self, earlier: Vec<u32>) -> Result<ErrorLog, ReloadError> {
        let Some(pid) = self.own_pid() else {
            return Ok(ErrorLog::silent());
        };
        let at_end = |mut file: File| file.seek(std::io::SeekFrom::End(0)).ok().map(|_| file);
        let mut log = ErrorLog::new(self.error_log().and_then(at_end), pid, earlier);
        match self.docker.logs(&self.container, &unix_time(), true).await {
            Ok(said) => log.follow(Followed::new(said, self.tty)),
            // Some drivers cannot give back what they log.
            Err(error) => tracing::debug!(%error, "the container's log cannot be followed"),
        }
        Ok(log)
    }
}
