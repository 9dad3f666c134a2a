//! Raw nginx directives, for what no field says yet.

use serde::{Deserialize, Serialize};

use super::{Document, Selector};
use crate::snippet::{SnippetContext, SnippetText};

/// A snippet document.
///
/// With the context `http` it goes to the agents its selector chooses. With
/// `server`, `location` and `upstream` it stands where a virtual host, a
/// location or an upstream names it in `snippets`.
pub type Snippet = Document<SnippetSpec>;

/// What a snippet says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SnippetSpec {
    /// Which agents have it; with the context `http` only. Default: every
    /// agent of the workspace.
    #[serde(default)]
    pub selector: Selector,
    /// The block it is put into: `http`, `server`, `location` or `upstream`.
    pub context: SnippetContext,
    /// Whole directives, 64 KiB at most, that the built-in policy allows in
    /// that block: see [`crate::snippet`].
    pub directives: SnippetText,
}
