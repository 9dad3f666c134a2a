//! What a login leaves behind: which master, and the token it gave.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use nxmesh_process::exit::{Exit, OrExit as _};
use serde::{Deserialize, Serialize};

use crate::options::ServerOptions;

/// A remembered login.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    pub(crate) server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_pem: Option<String>,
    pub(crate) username: String,
    pub(crate) access_token: String,
}

/// Where the login is kept.
pub(crate) fn path(options: &ServerOptions) -> anyhow::Result<PathBuf> {
    if let Some(path) = &options.config {
        return Ok(path.clone());
    }
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    folder("XDG_CONFIG_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".config")))
        .map(|folder| folder.join("nxmesh/config.toml"))
        .ok_or_else(|| anyhow!("no place for the login: set HOME, or give --config FILE"))
        .or_exit(Exit::Usage)
}

/// The remembered login, if there is one.
pub(crate) fn load(path: &Path) -> anyhow::Result<Option<Login>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("could not read {}", path.display()));
        }
    };
    toml::from_str(&text)
        .map(Some)
        // The parser's message quotes the line, which may hold the token.
        .map_err(|error| {
            anyhow!(
                "{} is not a login of this program: {}",
                path.display(),
                error.message()
            )
        })
}

/// Replaces the remembered login, readable by its owner only.
pub(crate) fn store(path: &Path, login: &Login) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let new = path.with_extension(format!("new-{}", std::process::id()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(toml::to_string(login)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        Ok(())
    };
    write().with_context(|| format!("could not write the login to {}", path.display()))
}
