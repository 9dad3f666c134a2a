//! What a gRPC status means to the agent.

use std::{error::Error, io};

use nxmesh_core::contract::transport::TransportError;
use tonic::{Code, Status};

use super::MasterUrl;

/// A failure in the words of its innermost cause, which is the one that tells:
/// `invalid peer certificate: UnknownIssuer`. What wraps it only repeats it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

/// Tells what retrying can cure from what it cannot.
pub(super) fn classify(url: &MasterUrl, status: &Status) -> TransportError {
    match status.code() {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::FailedPrecondition => TransportError::Refused {
            reason: status.message().to_owned(),
        },
        _ => TransportError::Unreachable {
            url: url.to_string(),
            source: Box::new(Failure(words(status))),
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
    let mut innermost: Option<&(dyn Error + 'static)> = status.source();
    while let Some(deeper) = innermost.and_then(Error::source) {
        innermost = Some(deeper);
    }
    match innermost {
        Some(cause) if broke(cause) => "the connection broke".to_owned(),
        Some(cause) => cause.to_string(),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    }
}

/// A peer that was killed ends TCP, not TLS.
fn broke(cause: &(dyn Error + 'static)) -> bool {
    cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}
