//! Templates that stand in for built-in ones.

use serde::{Deserialize, Serialize};

use super::{Document, value::TemplateSource};

/// A template document.
///
/// Its name is that of the template: that of a built-in one, which it replaces
/// for all agents of the workspace, or one that another Template includes. What
/// a template can say, and which templates are built in, is for the renderer to
/// say; it is asked before a change is stored.
pub type Template = Document<TemplateSpec>;

/// What a template says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TemplateSpec {
    /// The text, in the language of the renderer: Handlebars.
    pub source: TemplateSource,
}
