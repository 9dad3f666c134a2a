//! What the engine answers, as far as it is read.

use std::path::PathBuf;

use serde::Deserialize;

/// What the engine says of a container.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: String,
    pub(super) state: State,
    pub(super) config: Config,
    #[serde(default)]
    pub(super) mounts: Vec<Mount>,
    #[serde(default)]
    pub(super) restart_count: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    /// `running`, `exited`, `restarting`, `paused` and others.
    pub(super) status: String,
    pub(super) running: bool,
    #[serde(default)]
    pub(super) paused: bool,
    #[serde(default)]
    pub(super) restarting: bool,
    /// As the engine's machine counts; 0 for none.
    pub(super) pid: u32,
    #[serde(default)]
    pub(super) exit_code: i64,
    /// Why it could not be started.
    #[serde(default)]
    pub(super) error: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config {
    #[serde(default)]
    pub(super) tty: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Mount {
    pub(super) destination: PathBuf,
}

/// The answer to `top`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Top {
    pub(super) titles: Vec<String>,
    pub(super) processes: Vec<Vec<String>>,
}

/// How a command in a container ended.
#[derive(Debug)]
pub(super) struct Executed {
    pub(super) exit_code: i64,
    /// What it said on both streams; cut off where it is long.
    pub(super) output: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Created {
    pub(super) id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ExecInspected {
    pub(super) running: bool,
    pub(super) exit_code: Option<i64>,
}
