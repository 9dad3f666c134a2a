//! What a gRPC status means to the agent.

use std::error::Error;

use nxmesh_core::contract::transport::TransportError;
use tonic::{Code, Status};

use super::MasterUrl;

/// A failure in the words of its innermost causes, which are the ones that
/// tell: `invalid peer certificate: UnknownIssuer`.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Failure {
    words: String,
    source: Status,
}

/// Tells what retrying can cure from what it cannot.
pub(super) fn classify(url: &MasterUrl, status: Status) -> TransportError {
    match status.code() {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::FailedPrecondition => TransportError::Refused {
            reason: status.message().to_owned(),
        },
        _ => TransportError::Unreachable {
            url: url.to_string(),
            source: Box::new(Failure {
                words: words(&status),
                source: status,
            }),
        },
    }
}

pub(super) fn unreachable(
    url: &MasterUrl,
    cause: impl Into<Box<dyn Error + Send + Sync>>,
) -> TransportError {
    TransportError::Unreachable {
        url: url.to_string(),
        source: cause.into(),
    }
}

fn words(status: &Status) -> String {
    let mut innermost: Option<&dyn Error> = status.source();
    while let Some(deeper) = innermost.and_then(Error::source) {
        innermost = Some(deeper);
    }
    match innermost {
        Some(cause) => cause.to_string(),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    }
}
