//! Everything the NxMesh agent does, minus the process: keeps one nginx at the
//! configuration its master wants.
//!
//! An [`Agent`] enrols itself, stays connected ([`transport`]), brings nginx to
//! what it is offered and proves it ([`apply`]), keeps it up ([`watchdog`]), and
//! goes on from its disk with the master away ([`cache`]). The way to the master, the way of reloading
//! nginx, the renderer and the clock can be replaced.
//!
//! ```no_run
//! use nxmesh_agent_lib::{
//!     Agent, AgentOptions, BootstrapToken,
//!     apply::{ApplyOptions, Mode},
//!     nginx::{Enter, Layout},
//!     reload::{SignalOptions, SignalReloader},
//! };
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example(ca_pem: String) -> Result<(), Box<dyn std::error::Error>> {
//! let layout = Layout::new("/var/lib/mine/nginx", "/run/mine/nginx");
//! let nginx_conf = "/etc/nginx/nginx.conf".into();
//! let apply = ApplyOptions::new(layout.clone(), Mode::Include { nginx_conf });
//! let reloader = SignalReloader::new(SignalOptions {
//!     binary: "/usr/sbin/nginx".into(),
//!     conf: apply.nginx_conf(),
//!     prefix: None,
//!     pid_file: None,
//!     unix_sockets: vec![layout.probe_socket()],
//!     start_log: layout.start_log(),
//!     build: None,
//!     enter: Enter::NotNeeded,
//! });
//!
//! let mut options = AgentOptions::new(apply);
//! options.master_urls = vec!["https://master.example.com:8443".parse()?];
//! options.master_ca = Some(ca_pem);
//! options.bootstrap_token = Some(BootstrapToken::new("nxb_…"));
//! let agent = Agent::builder(options).reloader(reloader).build()?;
//!
//! let stop = CancellationToken::new();
//! let mut status = agent.status();
//! tokio::spawn(async move {
//!     while status.changed().await.is_ok() {
//!         println!("serving {:?}", status.borrow().applied);
//!     }
//! });
//! agent.run(stop).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The library installs no signal handler and no logger, reads no environment
//! and never exits: it takes a `CancellationToken` and returns errors. It needs
//! a tokio runtime with time and I/O, and Linux.
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `testkit` | a real nginx and a scripted master for tests | no |

mod agent;
pub mod apply;
mod builder;
pub mod cache;
mod config;
mod controller;
mod enrol;
mod error;
mod exchange;
pub mod health;
mod identity;
mod island;
mod keyring;
mod link;
mod metrics;
pub mod nginx;
mod pins;
pub mod reload;
mod status;
mod status_socket;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod transport;
pub mod watchdog;

pub use agent::Agent;
pub use builder::{AgentBuilder, BuildError};
pub use config::AgentOptions;
pub use controller::{ActiveChecks, ControlOptions, ReloadPace};
pub use error::AgentError;
pub use identity::{BootstrapToken, IdentityError};
pub use metrics::MetricsOptions;
pub use status::{AgentStatus, BreakerStatus, ConnectionState, ConnectionStatus, NginxStatus};
pub use status_socket::StatusError;
