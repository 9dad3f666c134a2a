//! The one place that turns settings into backends.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use nxmesh_master_lib::{
    DataDir, Master, MasterBuilder, MasterConfig,
    storage::{AtRestKey, SqlStorage},
};
use nxmesh_process::exit::{Exit, OrExit as _};

use crate::options::Settings;

/// A master in parts, and what is closed after it.
pub(crate) struct Composed {
    pub(crate) builder: MasterBuilder,
    pub(crate) storage: SqlStorage,
}

/// Whether the settings name only backends that this build has.
pub(crate) fn check(settings: &Settings) -> Result<()> {
    settings.data_dir()?;
    if let Some(fleet) = &settings.fleet {
        fleet.apply_to(&mut MasterConfig::default())?;
    }
    if settings.redis_url.is_some() {
        return Err(anyhow!(
            "--redis-url: built without feature `redis`; leave it out to run a single master"
        ))
        .or_exit(Exit::Usage);
    }
    let Some(url) = &settings.database_url else {
        return Ok(());
    };
    // Only the scheme is shown: the rest may hold a password.
    match url.expose().split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => Ok(()),
        Some("postgres" | "postgresql") => Err(anyhow!(
            "--database-url: built without feature `postgres`; leave it out to use SQLite"
        )),
        _ => Err(anyhow!(
            "--database-url is not a URL this build knows, for example \
             sqlite:///var/lib/nxmesh/nxmesh.db?mode=rwc"
        )),
    }
    .or_exit(Exit::Usage)
}

/// Opens the data folder and the database, and puts the rest beside them.
pub(crate) async fn compose(settings: &Settings) -> Result<Composed> {
    check(settings)?;
    let data_dir = DataDir::open(settings.data_dir()?)?;
    let key = AtRestKey::load_or_create(&data_dir.file("at-rest.key"))?;
    let url = match &settings.database_url {
        Some(url) => url.expose().to_owned(),
        None => data_dir.sqlite_url(),
    };
    let storage = SqlStorage::connect(&url, &key).await?;
    let mut config = MasterConfig::default();
    if let Some(address) = settings.api_listen {
        config.api_listen = address;
    }
    if let Some(address) = settings.agent_listen {
        config.agent_listen = address;
    }
    config.server_names = settings.agent_server_name.clone().unwrap_or_default();
    config.host_name = host_name();
    if let Some(limit) = settings.drain_timeout {
        config.drain_timeout = limit.as_duration();
    }
    if let Some(lifetime) = settings.key_lifetime {
        config.fleet.key_lifetime = lifetime.as_duration();
    }
    if let Some(fleet) = &settings.fleet {
        fleet.apply_to(&mut config)?;
    }
    let builder = Master::builder(data_dir)
        .config(config)
        .snippet_policy(settings.snippets.clone().unwrap_or_default())
        .storage(Arc::new(storage.clone()));
    Ok(Composed { builder, storage })
}

/// The machine's name, if it can be that of a server.
fn host_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    let is_label = |label: &str| {
        matches!(label.len(), 1..=63)
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.split('.').all(is_label).then_some(name)
}
