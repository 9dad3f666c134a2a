//! Which state a write expects, from its headers (RFC 9110, section 13).

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use nxmesh_core::{
    contract::storage::Expected,
    model::{ResourceKey, value::WorkspaceName},
};

use crate::{
    api::rest::Problem,
    engine::{Engine, EngineError},
};

/// What the headers ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Precondition {
    /// Nothing was said.
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: *`
    Present,
    /// `If-Match` with these revisions.
    OneOf(Vec<u64>),
}

/// The ETag of a resource.
pub(super) fn etag(revision: u64) -> String {
    format!("\"{revision}\"")
}

impl Precondition {
    pub(super) fn read(headers: &HeaderMap<HeaderValue>) -> Result<Self, Problem> {
        let match_tags = joined(headers, IF_MATCH)?;
        let none_match = joined(headers, IF_NONE_MATCH)?;
        match (match_tags.as_deref(), none_match.as_deref()) {
            (None, None) => Ok(Self::None),
            (None, Some("*")) => Ok(Self::Absent),
            (Some("*"), None) => Ok(Self::Present),
            // Tags we never gave out match nothing.
            (Some(tags), None) => Ok(Self::OneOf(tags.split(',').filter_map(revision).collect())),
            (_, Some(_)) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "send If-Match with an ETag to change, or If-None-Match: * to create",
            )),
        }
    }

    /// What the storage is to expect of `key`.
    pub(super) async fn expected(
        &self,
        engine: &Engine,
        workspace: &WorkspaceName,
        key: &ResourceKey,
    ) -> Result<Expected, Problem> {
        match self {
            Self::None | Self::Absent => return Ok(Expected::Absent),
            Self::OneOf(revisions) => {
                if let [revision] = revisions[..] {
                    return Ok(Expected::Revision(revision));
                }
            }
            Self::Present => {}
        }
        match engine.resource(workspace, key).await {
            Ok(stored) if self.accepts(stored.revision) => Ok(Expected::Revision(stored.revision)),
            Ok(stored) => Err(self.failed(key, &format!("revision {}", stored.revision))),
            Err(EngineError::NotFound { .. }) => Err(self.failed(key, "nothing")),
            Err(error) => Err(error.into()),
        }
    }

    fn accepts(&self, revision: u64) -> bool {
        match self {
            Self::None | Self::Absent => false,
            Self::Present => true,
            Self::OneOf(revisions) => revisions.contains(&revision),
        }
    }

    /// The answer when the resource is in another state.
    pub(super) fn failed(&self, key: &ResourceKey, found: &str) -> Problem {
        match self {
            Self::None => Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                format!("{key} is there already; send its ETag as If-Match to change it"),
            ),
            Self::Absent => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                format!("{key} is there already; it is {found}"),
            ),
            Self::Present | Self::OneOf(_) => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                format!("{key} is not as you know it; there is {found}; get it and try again"),
            ),
        }
    }
}

/// A header's lines as one list (RFC 9110, section 5.3).
fn joined(headers: &HeaderMap<HeaderValue>, name: HeaderName) -> Result<Option<String>, Problem> {
    let mut lines = Vec::new();
    for value in headers.get_all(&name) {
        let line = value.to_str().map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, format!("{name} is not ASCII text"))
        })?;
        lines.push(line.trim());
    }
    Ok((!lines.is_empty()).then(|| lines.join(",")))
}

/// The revision in a strong tag; weak ones never match (RFC 9110, section 13.1.1).
fn revision(tag: &str) -> Option<u64> {
    let digits = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
    let revision: u64 = digits.parse().ok()?;
    (revision.to_string() == digits).then_some(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(HeaderName, &'static str)]) -> Option<Precondition> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        Precondition::read(&headers).ok()
    }

    #[test]
    fn headers_are_read_as_the_rfc_says() {
        use Precondition::{Absent, None, OneOf, Present};
        assert_eq!(read(&[]), Some(None));
        assert_eq!(read(&[(IF_NONE_MATCH, "*")]), Some(Absent));
        assert_eq!(read(&[(IF_MATCH, "*")]), Some(Present));
        assert_eq!(read(&[(IF_MATCH, "\"7\"")]), Some(OneOf(vec![7])));
        assert_eq!(read(&[(IF_MATCH, "\"7\", \"9\"")]), Some(OneOf(vec![7, 9])));
        assert_eq!(
            read(&[(IF_MATCH, "\"7\""), (IF_MATCH, "\"9\"")]),
            Some(OneOf(vec![7, 9]))
        );
        for unknown in ["W/\"7\"", "7", "\"07\"", "\"x\"", ""] {
            assert_eq!(
                read(&[(IF_MATCH, unknown)]),
                Some(OneOf(vec![])),
                "{unknown}"
            );
        }
        assert_eq!(read(&[(IF_NONE_MATCH, "\"7\"")]), Option::None);
        assert_eq!(read(&[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")]), Option::None);
    }
}
