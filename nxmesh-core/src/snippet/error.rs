//! Why a snippet is refused.

use super::{MAX_SNIPPET_BYTES, RewriteFlaw, context::Place, refused::Reason};
use crate::{
    model::value::SEPARATOR,
    syntax::{Position, SyntaxError, SyntaxRule},
};

/// What a snippet breaks, and where. Nothing of the snippet is repeated.
///
/// Shown as `line 2, column 1: <rule>, for example <example>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {rule}{SEPARATOR}{}", rule.example())]
pub struct SnippetError {
    /// The place in the snippet.
    pub position: Position,
    /// The rule that is broken there.
    pub rule: SnippetRule,
}

impl From<SyntaxError> for SnippetError {
    fn from(error: SyntaxError) -> Self {
        Self {
            position: error.position,
            rule: SnippetRule::Syntax(error.rule),
        }
    }
}

/// The rules of snippets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnippetRule {
    /// It is not nginx configuration.
    #[error("{0}")]
    Syntax(SyntaxRule),
    /// It is too long.
    #[error("a snippet is at most {MAX_SNIPPET_BYTES} bytes long")]
    TooLong,
    /// It has control characters.
    #[error("a snippet has no control characters but line breaks and tabs")]
    Control,
    /// It says nothing.
    #[error("a snippet has at least one directive")]
    Empty,
    /// A directive that nginx does not have.
    #[error(
        "a directive is one of nginx's own, or one that the policy of this installation allows"
    )]
    Unknown,
    /// A directive that the policy of this installation denies.
    #[error("this directive is refused by the policy of this installation")]
    Denied,
    /// A directive that the built-in policy refuses.
    #[error("{directive} is refused: {reason}")]
    Refused {
        /// Its name, or how names like it begin or end.
        directive: &'static str,
        /// Why.
        reason: Reason,
    },
    /// A directive where nginx does not take it.
    #[error("{directive} does not stand {place}")]
    Misplaced {
        /// Its name.
        directive: &'static str,
        /// Where it was found.
        place: PlaceName,
    },
    /// A block behind a directive that has none.
    #[error("{directive} ends with ';', it has no block")]
    NoBlock {
        /// Its name.
        directive: &'static str,
    },
    /// No block behind a directive that has one.
    #[error("{directive} has a block")]
    Block {
        /// Its name.
        directive: &'static str,
    },
    /// A log that is a file.
    #[error("a log goes to syslog, not to a file of the machine")]
    LogFile,
    /// An `include` in a block of values.
    #[error("a block of values reads no file")]
    IncludedValues,
    /// A variable that is somebody else's.
    #[error(
        "a variable that is set does not hide one of nginx (http_…, arg_…, cookie_…, upstream_… and the like) or of NxMesh (nxmesh…)"
    )]
    ReservedVariable,
    /// A capture with the name of a variable that is somebody else's.
    #[error(
        "a capture does not hide a variable of nginx (args, http_…, arg_… and the like) or of NxMesh (nxmesh…)"
    )]
    ReservedCapture,
    /// A zone or upstream that is somebody else's.
    #[error("names that begin with nxmesh_ are NxMesh's own")]
    ReservedName,
    /// A rewrite that makes nginx write beyond its memory.
    #[error("{0}")]
    Overflow(RewriteFlaw),
}

/// A place, as errors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceName(pub(super) Place);

impl std::fmt::Display for PlaceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl SnippetRule {
    /// What is accepted instead.
    #[must_use]
    pub const fn example(&self) -> &'static str {
        match self {
            Self::Syntax(_)
            | Self::TooLong
            | Self::Control
            | Self::Empty
            | Self::Unknown
            | Self::Denied => "gzip on;",
            Self::Refused { reason, .. } => reason.example(),
            Self::Misplaced { .. } => "limit_rate in location",
            Self::NoBlock { .. } => "limit_rate 1m;",
            Self::Block { .. } => "if ($slow) { limit_rate 1m; }",
            Self::LogFile => "access_log off;",
            Self::IncludedValues => "default 0;",
            Self::ReservedVariable => "set $shop_region eu;",
            Self::ReservedCapture => "(?<shop_region>[a-z]+)",
            Self::ReservedName => "zone=shop_logins:1m",
            Self::Overflow(_) => "rewrite ^/old/(.*)$ /new?page=$1 last;",
        }
    }
}
