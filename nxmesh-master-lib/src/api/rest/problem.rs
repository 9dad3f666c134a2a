//! Errors as RFC 9457 problem documents.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use nxmesh_core::{
    api::ProblemDetails, contract::storage::StorageError, document, model::value::ValueError,
};
use tracing::error;

use crate::{
    auth::{LoginError, TokenError},
    engine::EngineError,
};

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error answer. [`render`] writes the body, in the outermost layer: only
/// there the request's id is known, and every answer passes.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<document::Problem>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            errors: Vec::new(),
            header: None,
        }
    }

    /// Bad input, value by value.
    pub(crate) fn invalid(errors: Vec<document::Problem>) -> Self {
        let detail = match errors.len() {
            1 => "one value is not valid; nothing was stored".to_owned(),
            several => format!("{several} values are not valid; nothing was stored"),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// A bad value in the path or the query.
    pub(crate) fn bad_value(place: &str, name: &str, error: ValueError) -> Self {
        let found = document::Problem::new(place, format!("/{name}"), &error.to_string());
        let detail = format!("{name} in the {place} is not valid");
        Self {
            errors: vec![found],
            ..Self::new(StatusCode::BAD_REQUEST, detail)
        }
    }

    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} is not there"))
    }

    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// Something of ours is broken. The cause goes to the log, not to the caller.
    pub(crate) fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        error!(error = chain(cause), "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the master could not do this; its log says why",
        )
    }

    fn unavailable(cause: &StorageError) -> Self {
        error!(error = chain(cause), "storage unavailable");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the storage does not answer; nothing was changed, try again",
        )
        .with_header(RETRY_AFTER, HeaderValue::from_static("2"))
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    fn details(self, request_id: &str) -> ProblemDetails {
        let (slug, title) = kind(self.status);
        ProblemDetails {
            kind: format!("urn:nxmesh:problem:{slug}"),
            title: title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            instance: format!("urn:uuid:{request_id}"),
            code: format!("NX-API-{}", self.status.as_u16()),
            errors: self.errors,
        }
    }
}

/// The stable name of a kind of problem and its words.
fn kind(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::BAD_REQUEST => ("bad-request", "The request is malformed"),
        StatusCode::UNAUTHORIZED => ("unauthenticated", "Log in first"),
        StatusCode::FORBIDDEN => ("forbidden", "Not allowed"),
        StatusCode::NOT_FOUND => ("not-found", "Not there"),
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "Method not allowed"),
        StatusCode::REQUEST_TIMEOUT => ("timeout", "Not done in time"),
        StatusCode::CONFLICT => ("conflict", "It does not fit what is there now"),
        StatusCode::PRECONDITION_FAILED => ("precondition-failed", "The resource has changed"),
        StatusCode::PAYLOAD_TOO_LARGE => ("body-too-large", "The body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported-media-type", "Unknown type of content"),
        StatusCode::UNPROCESSABLE_ENTITY => ("invalid", "Not valid"),
        StatusCode::PRECONDITION_REQUIRED => {
            ("precondition-required", "Say which state you change")
        }
        StatusCode::TOO_MANY_REQUESTS => ("throttled", "Too many attempts"),
        StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "Not available now"),
        status if status.is_client_error() => ("bad-request", "The request is not accepted"),
        _ => ("internal", "Something went wrong"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(header) = &self.header {
            let (name, value) = &**header;
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of an error answer, whoever made it: a handler, a layer, or
/// the router itself.
pub(super) fn render(mut response: Response, request_id: &str) -> Response {
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if status.is_client_error() || status.is_server_error() => {
            Problem::new(status, by_status(status))
        }
        None => return response,
    };
    // These types hold only texts, numbers and lists of them.
    let body = serde_json::to_vec(&problem.details(request_id)).unwrap_or_default();
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

/// For answers that nobody gave a detail.
fn by_status(status: StatusCode) -> &'static str {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => "this path has other methods; see the Allow header",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than what is taken here",
        StatusCode::REQUEST_TIMEOUT => {
            "the request was not done in time; look before you try again"
        }
        _ => "",
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::Conflict { .. } => Self::new(StatusCode::CONFLICT, error.to_string()),
            StorageError::Unavailable { .. } => Self::unavailable(&error),
            _ => Self::internal(&error),
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Invalid(problems) => Self::invalid(problems),
            EngineError::Conflict { .. } => Self::new(StatusCode::CONFLICT, error.to_string()),
            EngineError::NotFound { what } => Self::not_found(what),
            EngineError::Storage(error) => error.into(),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match &error {
            TokenError::Expired | TokenError::Invalid => Self::unauthenticated(error.to_string()),
            TokenError::Key { .. } => Self::internal(&error),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong => Self::unauthenticated(error.to_string()),
            LoginError::Throttled { wait } => {
                let seconds = HeaderValue::from(wait.as_secs().max(1));
                Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
                    .with_header(RETRY_AFTER, seconds)
            }
            LoginError::Storage(error) => error.into(),
            LoginError::Password(error) => Self::internal(&error),
            LoginError::Token(error) => Self::internal(&error),
        }
    }
}
