//! Raw nginx directives, for what no field says yet.

use serde::{Deserialize, Serialize};

use super::{Document, Selector, value::ResourceName};
use crate::snippet::{SnippetContext, SnippetText};

/// A snippet document.
///
/// With the contexts `main`, `events`, `http` and `stream` it goes to the agents its
/// selector chooses; all but `http` are for agents that own the whole of `nginx.conf`
/// (mode full). With `server`, `location`, `upstream` and `stream_server` it stands
/// where a virtual host, a location, an upstream or a stream server names it in
/// `snippets`.
pub type Snippet = Document<SnippetSpec>;

/// What a snippet says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SnippetSpec {
    /// Which agents have it; with those four contexts only. Default: every
    /// agent of the workspace.
    #[serde(default)]
    pub selector: Selector,
    /// The block it is put into.
    pub context: SnippetContext,
    /// Upstream resources that it passes requests to by their names, at most 20:
    /// with `[shop]` a `proxy_pass http://shop;` means Upstream/shop, and so does `shop`
    /// as a value in a `map`, `split_clients` or `geo`, and in the `set` of a variable that
    /// it passes to. Not with the contexts main, events and upstream. Default: none, such names are those of
    /// hosts. `$proxy_host` is then a name of NxMesh's, so set `Host` for the upstream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<ResourceName>,
    /// Whole directives that the built-in policy allows in that block, 1 MiB at most with
    /// the contexts main, events, http and stream, 64 KiB with the others: see [`crate::snippet`].
    pub directives: SnippetText,
}
