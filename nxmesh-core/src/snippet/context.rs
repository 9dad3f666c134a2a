//! Where a snippet stands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The block a snippet is put into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SnippetContext {
    /// Outside of all blocks.
    Main,
    /// `events`.
    Events,
    /// `http`.
    Http,
    /// `server` in `http`.
    Server,
    /// `location`.
    Location,
    /// `upstream` in `http`.
    Upstream,
    /// `stream`.
    Stream,
    /// `server` in `stream`.
    StreamServer,
}

impl SnippetContext {
    /// All contexts.
    pub const ALL: [Self; 8] = [
        Self::Main,
        Self::Events,
        Self::Http,
        Self::Server,
        Self::Location,
        Self::Upstream,
        Self::Stream,
        Self::StreamServer,
    ];

    /// Whether snippets of it go to the agents that their selectors choose; the
    /// others stand where something names them.
    #[must_use]
    pub const fn is_chosen(self) -> bool {
        matches!(self, Self::Main | Self::Events | Self::Http | Self::Stream)
    }

    /// The longest snippet of the context, in bytes: 1 MiB, or 64 KiB where many documents
    /// may name it and each has it.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        if self.is_chosen() {
            super::MAX_SNIPPET_BYTES
        } else {
            64 << 10
        }
    }

    /// As it is written in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Events => "events",
            Self::Http => "http",
            Self::Server => "server",
            Self::Location => "location",
            Self::Upstream => "upstream",
            Self::Stream => "stream",
            Self::StreamServer => "stream_server",
        }
    }
}

impl fmt::Display for SnippetContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a directive stands: in the snippet's block, or in one of the snippet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    In(SnippetContext),
    /// `if` in a `server`.
    ServerIf,
    /// `if` in a `location`.
    LocationIf,
    /// `limit_except` in a `location`.
    LimitExcept,
}

impl Place {
    /// How the table of directives calls it.
    pub(super) const fn letter(self) -> char {
        match self {
            Self::In(SnippetContext::Main) => 'M',
            Self::In(SnippetContext::Events) => 'E',
            Self::In(SnippetContext::Http) => 'H',
            Self::In(SnippetContext::Server) => 'S',
            Self::In(SnippetContext::Location) => 'L',
            Self::In(SnippetContext::Upstream) => 'U',
            Self::In(SnippetContext::Stream) => 's',
            Self::In(SnippetContext::StreamServer) => 'r',
            Self::ServerIf => 'i',
            Self::LocationIf => 'j',
            Self::LimitExcept => 'x',
        }
    }

    /// The context whose permissions count here.
    pub(super) const fn context(self) -> SnippetContext {
        match self {
            Self::In(context) => context,
            Self::ServerIf => SnippetContext::Server,
            Self::LocationIf | Self::LimitExcept => SnippetContext::Location,
        }
    }

    /// Where the directives in the block of `name` stand.
    pub(super) fn inside(self, name: &str) -> Self {
        match (name, self) {
            ("location", _) => Self::In(SnippetContext::Location),
            ("if", Self::In(SnippetContext::Server)) => Self::ServerIf,
            ("if", Self::In(SnippetContext::Location)) => Self::LocationIf,
            ("limit_except", _) => Self::LimitExcept,
            (_, same) => same,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(SnippetContext::Main) => f.write_str("outside of all blocks"),
            Self::In(SnippetContext::StreamServer) => f.write_str("in a server of stream"),
            Self::In(context) => write!(f, "in {context}"),
            Self::ServerIf => f.write_str("in an if of server"),
            Self::LocationIf => f.write_str("in an if of location"),
            Self::LimitExcept => f.write_str("in limit_except"),
        }
    }
}
