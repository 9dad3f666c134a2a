//! What the NxMesh programs share around their libraries: everything that belongs to a process.
//!
//! The libraries take a [`CancellationToken`](tokio_util::sync::CancellationToken), return errors
//! and never touch the process. This crate is the other side of that rule:
//!
//! - [`exit`]: one table of exit codes, and how an error carries its code to `main`;
//! - [`logging`]: text or JSON on standard error;
//! - [`signals`]: the first signal stops softly, the second or a time limit at once;
//! - [`config`]: flags over environment over file over defaults, with exact complaints;
//! - [`service`]: readiness for systemd.
//!
//! A daemon's `main` puts them together:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use clap::Parser;
//! use nxmesh_process::exit::{Exit, OrExit};
//! use nxmesh_process::{config, exit, logging, service, signals};
//! use serde::{Deserialize, Serialize};
//! use tokio_util::sync::CancellationToken;
//!
//! /// The stock agent.
//! #[derive(Parser)]
//! struct Options {
//!     /// TOML file with the same settings
//!     #[arg(long, env = "NXMESH_AGENT_CONFIG", value_name = "FILE")]
//!     config: Option<std::path::PathBuf>,
//!     #[command(flatten)]
//!     settings: Settings,
//! }
//!
//! #[derive(Debug, Default, clap::Args, Serialize, Deserialize)]
//! #[serde(deny_unknown_fields, default)]
//! struct Settings {
//!     /// Where the agent keeps its identity and its releases
//!     #[arg(long, env = "NXMESH_STATE_DIR", value_name = "DIR")]
//!     state_dir: Option<std::path::PathBuf>,
//!     #[command(flatten)]
//!     log: logging::LogOptions,
//! }
//! nxmesh_process::overlay!(Settings { state_dir, log });
//!
//! fn main() -> std::process::ExitCode {
//!     exit::report(run(exit::parse()))
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn run(options: Options) -> anyhow::Result<()> {
//!     let settings = config::layered(options.settings, options.config.as_deref())
//!         .or_exit(Exit::Invalid)?;
//!     logging::install(&settings.log)?;
//!     let stop = CancellationToken::new();
//!     signals::stop_softly(&stop, Duration::from_secs(30))?;
//!     service::ready();
//!     stop.cancelled().await;
//!     Ok(())
//! }
//! ```

pub mod config;
pub mod exit;
pub mod logging;
pub mod service;
pub mod signals;
