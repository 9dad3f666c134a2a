//! What handlers take from a request. Every refusal is a [`Problem`].

use std::{fmt, net::IpAddr, net::SocketAddr, str::FromStr};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request},
};
use http::{StatusCode, header::CONTENT_TYPE, request::Parts};
use nxmesh_core::{
    document,
    model::{ResourceKind, value::ValueError},
};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::auth::Identity;

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;

    /// Whom the authenticating layer let in.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let identity = parts.extensions.get::<Self>().cloned();
        identity.ok_or_else(|| Problem::unauthenticated("this needs an access token"))
    }
}

impl Identity {
    /// Refuses whoever may not do `permission`, for example `agent:reload`.
    pub(crate) fn require(&self, permission: &str) -> Result<(), Problem> {
        if self.may(permission) {
            return Ok(());
        }
        let detail = format!("this needs the permission {permission}");
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let address = parts.extensions.get::<SocketAddr>();
        // Absent only when the router is served without our listener: all
        // count as one then.
        let unknown = IpAddr::from([0, 0, 0, 0]);
        Ok(Self(address.map_or(unknown, SocketAddr::ip)))
    }
}

/// Parts of the path, by name.
#[derive(Debug)]
pub(crate) struct PathValues(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for PathValues {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = RawPathParams::from_request_parts(parts, state).await;
        let found = found
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the path is not text in UTF-8"))?;
        let pairs = found
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        Ok(Self(pairs.collect()))
    }
}

impl PathValues {
    /// Parses the part called `name`.
    pub(crate) fn get<T: FromStr<Err = ValueError>>(&self, name: &str) -> Result<T, Problem> {
        self.text(name)
            .parse()
            .map_err(|error| Problem::bad_value("path", name, error))
    }

    /// The part called `name` as a revision's number.
    pub(crate) fn revision(&self) -> Result<u64, Problem> {
        let rule = ValueError {
            rule: "a revision is a whole number from 1",
            example: "7",
        };
        let number = self
            .text("revision")
            .parse()
            .ok()
            .filter(|&number| number > 0);
        number.ok_or_else(|| Problem::bad_value("path", "revision", rule))
    }

    /// The part called `kind`, as it is written in paths.
    pub(crate) fn kind(&self) -> Result<ResourceKind, Problem> {
        let text = self.text("kind");
        ResourceKind::ALL
            .into_iter()
            .find(|kind| kind.plural() == text)
            .ok_or_else(|| Problem::not_found("this path"))
    }

    /// The part called `name`; empty if the path has none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map_or("", |(_, value)| value)
    }
}

/// The query, with unknown parameters refused by its type.
#[derive(Debug)]
pub(crate) struct Parameters<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(parameters)| Self(parameters))
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))
    }
}

/// A JSON body.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        content_type(&request, &["application/json"])?;
        let body = bytes(request, state).await?;
        document::parse_json("body", &body)
            .map(Self)
            .map_err(|problem| Problem::invalid(vec![problem]))
    }
}

/// A text of documents in YAML or JSON.
pub(crate) struct DocumentText(pub(crate) String);

impl fmt::Debug for DocumentText {
    /// Documents may hold private keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocumentText({} bytes)", self.0.len())
    }
}

impl<S: Send + Sync> FromRequest<S> for DocumentText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // RFC 9512 registers application/yaml and names the others as older.
        let taken = [
            "application/yaml",
            "application/json",
            "application/x-yaml",
            "text/yaml",
            "text/x-yaml",
        ];
        content_type(&request, &taken)?;
        let body = bytes(request, state).await?;
        String::from_utf8(body.into()).map(Self).map_err(|_| {
            Problem::invalid(vec![document::Problem::new(
                "body",
                "",
                "documents are text in UTF-8",
            )])
        })
    }
}

/// Refuses another type of content than those taken; the first is the default.
fn content_type(request: &Request, taken: &[&str]) -> Result<(), Problem> {
    let Some(value) = request.headers().get(CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if taken
        .iter()
        .any(|known| known.eq_ignore_ascii_case(essence))
    {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!("send Content-Type: {}", taken.join(" or ")),
    ))
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|error| {
        let detail = match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than what is taken here",
            _ => "the body broke off",
        };
        Problem::new(error.status(), detail)
    })
}
