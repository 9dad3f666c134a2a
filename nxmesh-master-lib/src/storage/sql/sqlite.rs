//! What is particular to SQLite.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use nxmesh_core::contract::{BoxError, storage::StorageError};
use sea_orm::{
    DatabaseConnection, SqlxSqliteConnector,
    sqlx::{
        self, ConnectOptions as _, Connection as _,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::error::{Backend, driver_damage};

pub(super) const BACKEND: Backend = Backend("sqlite");

const ACTION: &str = "open the database";
/// How long a unit of work waits for its turn.
const TURN: Duration = Duration::from_secs(30);
/// How long a statement waits for another process, for example a backup.
const BUSY: Duration = Duration::from_secs(10);
/// Each is a thread.
const READERS: u32 = 8;

/// The connection that writes and those that read.
pub(super) async fn open(
    url: &str,
) -> Result<(DatabaseConnection, DatabaseConnection), StorageError> {
    let unusable = |source| BACKEND.unavailable(ACTION, OpenError::Url(url.to_owned(), source));
    if !url.starts_with("sqlite:") {
        return Err(unusable(None));
    }
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| unusable(Some(error)))?
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .disable_statement_logging();
    let path = options.get_filename().to_owned();
    if url.contains(":memory:") || asks_for(url, "mode=memory") {
        return Err(BACKEND.unavailable(ACTION, OpenError::InMemory));
    }
    prepare_file(&path, asks_for(url, "mode=rwc"))
        .map_err(|error| BACKEND.unavailable(ACTION, OpenError::At(path.clone(), error.into())))?;
    let failed = |error: sqlx::Error| match driver_damage(&error) {
        Some(reason) => BACKEND.corrupt(format!("a file ({})", path.display()), reason),
        None => BACKEND.unavailable(ACTION, OpenError::At(path.clone(), error.into())),
    };

    let writer = pool(1)
        .connect_with(options.clone().journal_mode(SqliteJournalMode::Wal))
        .await
        .map_err(failed)?;
    // Even if a write got here, SQLite itself would refuse it.
    let readers = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
    Ok((
        SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
        SqlxSqliteConnector::from_sqlx_sqlite_pool(readers),
    ))
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(TURN)
        // Files do not go away; and without these no task runs beside us.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                // Lets a pending ROLLBACK run. If it failed (SQLite had rolled
                // back by itself, as it does on a full disk), the driver still
                // counts a transaction as open: not to be used again.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

/// Whether the URL has this parameter.
fn asks_for(url: &str, parameter: &str) -> bool {
    url.split(['?', '&']).skip(1).any(|it| it == parameter)
}

/// Makes the file ours alone before there is anything in it; its log and
/// shared memory inherit the mode (sqlite.org/src, `findCreateFileMode`).
fn prepare_file(path: &Path, create: bool) -> io::Result<()> {
    let existed = path.try_exists()?;
    OpenOptions::new()
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    if !existed {
        // SQLite makes its log durable, but not the name of the file itself.
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(
        "{0:?} is not the URL of a database, for example sqlite:///var/lib/nxmesh/nxmesh.db?mode=rwc"
    )]
    Url(String, #[source] Option<sqlx::Error>),
    #[error("SQLite in memory keeps nothing and shares nothing; name a file")]
    InMemory,
    #[error("{}", .0.display())]
    At(PathBuf, #[source] BoxError),
}
