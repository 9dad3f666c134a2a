//! Why an agent cannot work.

use std::{io, path::PathBuf};

use crate::{
    apply::PipelineError,
    cache::KeyError,
    identity::IdentityError,
    transport::{MasterOptionsError, TrustError},
};

/// Why an agent cannot work. Nothing that passes by itself is among these: an
/// unreachable master or an nginx that does not come up are tried again, and
/// shown in the status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The state folder cannot be made.
    #[error("could not make the state folder {path}", path = path.display())]
    StateDir {
        /// The folder.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The key that seals secrets on disk cannot be had.
    #[error("could not get the key of the state folder")]
    Key(#[source] KeyError),
    /// Another agent works here, or files cannot be used.
    #[error("could not open the state folder")]
    Pipeline(#[source] PipelineError),
    /// The identity cannot be read or kept.
    #[error("could not use the agent's identity")]
    Identity(#[source] IdentityError),
    /// There is neither an identity nor a token to get one with.
    #[error(
        "this agent is not enrolled and has no bootstrap token; `nxmeshctl agent enroll` makes one, `--token-file FILE` passes it"
    )]
    NotEnrolled,
    /// It is not known where the master is.
    #[error("it is not known where the master is; `--master-url https://HOST:8443` says it")]
    NoMasterUrl,
    /// It is not known whom to trust.
    #[error(
        "it is not known which authority the master's certificate comes from; `--master-ca FILE` passes the master's ca.pem"
    )]
    NoMasterCa,
    /// The master's CA cannot be used.
    #[error("could not trust the master's CA")]
    Trust(#[source] TrustError),
    /// The way to the master cannot be set up.
    #[error("could not set up the connection to the master")]
    Transport(#[source] MasterOptionsError),
    /// The master will not have this agent.
    #[error("the master refused the enrolment: {reason}")]
    EnrolmentRefused {
        /// In the master's words.
        reason: String,
    },
    /// A part of the agent ended before it should; a mistake in the program.
    #[error("the agent's {part} failed")]
    Internal {
        /// The part.
        part: &'static str,
        /// What happened.
        source: tokio::task::JoinError,
    },
}
