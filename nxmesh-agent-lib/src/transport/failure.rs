//! What a failed call means to the agent.

use std::{error::Error, io, time::Duration};

use nxmesh_core::contract::transport::TransportError;
use tonic::{Code, Status};

use super::{MasterUrl, dial::DialError};

/// A failure in the words of its innermost cause, which is the one that tells:
/// `invalid peer certificate: UnknownIssuer`. What wraps it only repeats it.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Failure {
    words: String,
    about_protocol: bool,
}

/// Tells what retrying can cure from what it cannot, given what the master said.
pub(super) fn told(url: &MasterUrl, code: Code, words: &str) -> TransportError {
    match code {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::FailedPrecondition => TransportError::Refused {
            reason: words.to_owned(),
        },
        _ => failed(url, words, false),
    }
}

/// What the status means that a gRPC call was answered with. The master's own
/// come with headers of gRPC, those that tonic makes of other answers have none.
pub(super) fn answered(url: &MasterUrl, status: &Status) -> TransportError {
    if status.source().is_none() && status.metadata().is_empty() {
        return failed(url, words(status), true);
    }
    ended(url, status)
}

/// What the status means that a stream ended with.
pub(super) fn ended(url: &MasterUrl, status: &Status) -> TransportError {
    let mut innermost: Option<&(dyn Error + 'static)> = status.source();
    while let Some(deeper) = innermost.and_then(Error::source) {
        innermost = Some(deeper);
    }
    let Some(cause) = innermost else {
        return told(url, status.code(), words(status));
    };
    match cause.downcast_ref::<io::Error>() {
        // A peer that was killed ends TCP, not TLS.
        Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            failed(url, "the connection broke", true)
        }
        Some(error) => {
            let about_protocol = dial_error(error).is_none_or(|it| it.about_protocol);
            failed(url, error, about_protocol)
        }
        None => failed(url, cause, true),
    }
}

fn words(status: &Status) -> &str {
    match status.message() {
        "" => status.code().description(),
        words => words,
    }
}

fn dial_error(error: &io::Error) -> Option<&DialError> {
    error.get_ref()?.downcast_ref()
}

/// A connection that was not had, or an answer that did not come in time.
pub(super) fn unreachable(
    url: &MasterUrl,
    cause: impl Into<Box<dyn Error + Send + Sync>>,
) -> TransportError {
    TransportError::Unreachable {
        url: url.to_string(),
        source: cause.into(),
    }
}

/// A call over HTTP/2 that never was answered on a connection that stands.
pub(super) fn unanswered(url: &MasterUrl, limit: Duration) -> TransportError {
    failed(url, format!("no answer within {limit:?}"), true)
}

fn failed(url: &MasterUrl, words: impl ToString, about_protocol: bool) -> TransportError {
    unreachable(
        url,
        Failure {
            words: words.to_string(),
            about_protocol,
        },
    )
}

/// Whether the failure is such as something on the way makes that lets no
/// HTTP/2 through. A master that is not there, not trusted or that says why it
/// does not want to is no such.
pub(super) fn is_about_protocol(error: &TransportError) -> bool {
    let TransportError::Unreachable { source, .. } = error else {
        return false;
    };
    source
        .downcast_ref::<Failure>()
        .is_some_and(|failure| failure.about_protocol)
}
