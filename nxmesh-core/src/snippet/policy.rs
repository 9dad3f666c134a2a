//! Which directives snippets may use.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

use super::{
    SnippetContext, SnippetText, allowed, arguments,
    context::Place,
    error::{PlaceName, SnippetError, SnippetRule},
    passes::renamed,
    refused, rewrite,
};
use crate::syntax::{Directive, parse};

/// What an installation allows and denies beside the built-in rules of
/// [this module](super).
///
/// ```
/// use nxmesh_core::snippet::{SnippetContext, SnippetPolicy, SnippetText};
///
/// let policy: SnippetPolicy = serde_json::from_str(r#"{
///     "allow": { "more_clear_headers": ["http", "server", "location"] },
///     "deny": ["proxy_pass"]
/// }"#)?;
/// let approves = |text| {
///     let text = SnippetText::parse(text).expect("well-formed");
///     policy.approve(SnippetContext::Location, &text).is_ok()
/// };
/// assert!(approves("more_clear_headers Server;"));
/// assert!(approves("gzip on;"));
/// assert!(!approves("proxy_pass http://127.0.0.1:8080;"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnippetPolicy {
    /// Directives that are allowed although the built-in rules do not know or
    /// do not allow them, with the blocks they may stand in. What stands in a
    /// block of such a directive is judged as if it stood around it. The rules
    /// about names, variables and rewrites hold for them too. Default: none.
    pub allow: BTreeMap<String, BTreeSet<SnippetContext>>,
    /// Directives that are refused, whatever else allows them. Default: none.
    pub deny: BTreeSet<String>,
}

impl SnippetPolicy {
    /// Judges `text` as a part of the block `context`.
    ///
    /// # Errors
    ///
    /// [`SnippetError`] for the first thing that is refused.
    pub fn approve<'s>(
        &self,
        context: SnippetContext,
        text: &'s SnippetText,
    ) -> Result<ApprovedSnippet<'s>, SnippetError> {
        let config = text.config();
        self.directives(config.directives(), Place::In(context))?;
        if let Some(overflow) = rewrite::overflows(config.directives()).first() {
            return Err(SnippetError {
                position: overflow.position,
                rule: SnippetRule::Overflow(overflow.flaw),
            });
        }
        let text = Cow::Borrowed(text.as_str());
        Ok(ApprovedSnippet { context, text })
    }

    /// Blocks lie at most so deep that this may recurse.
    fn directives(&self, directives: &[Directive<'_>], place: Place) -> Result<(), SnippetError> {
        for directive in directives {
            let judged = self.directive(directive, place);
            judged.map_err(|rule| SnippetError {
                position: directive.position(),
                rule,
            })?;
            arguments::check(directive)?;
            self.directives(directive.directives(), place.inside(directive.name()))?;
        }
        Ok(())
    }

    fn directive(&self, directive: &Directive<'_>, place: Place) -> Result<(), SnippetRule> {
        let name = directive.name();
        if self.deny.contains(name) {
            return Err(SnippetRule::Denied);
        }
        if let Some(contexts) = self.allow.get(name)
            && contexts.contains(&place.context())
        {
            return Ok(());
        }
        if let Some((directive, reason)) = refused::reason(name) {
            return Err(SnippetRule::Refused { directive, reason });
        }
        let Some(known) = allowed::allowed(name) else {
            return Err(SnippetRule::Unknown);
        };
        let directive_name = known.name;
        if !known.stands(place) {
            return Err(SnippetRule::Misplaced {
                directive: directive_name,
                place: PlaceName(place),
            });
        }
        match (known.has_block(), directive.block()) {
            (true, None) => Err(SnippetRule::Block {
                directive: directive_name,
            }),
            (false, Some(_)) => Err(SnippetRule::NoBlock {
                directive: directive_name,
            }),
            _ => Ok(()),
        }
    }

    /// The directives that the built-in rules allow, with the blocks they may
    /// stand in.
    pub fn built_in() -> impl Iterator<Item = (&'static str, Vec<SnippetContext>)> {
        allowed::all().map(|known| {
            let contexts = SnippetContext::ALL.into_iter();
            let stands = contexts.filter(|context| known.stands(Place::In(*context)));
            (known.name, stands.collect())
        })
    }
}

/// A snippet that a [`SnippetPolicy`] approved, for one block. Cannot be made
/// any other way; what renders snippets takes nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedSnippet<'s> {
    context: SnippetContext,
    text: Cow<'s, str>,
}

impl<'s> ApprovedSnippet<'s> {
    /// The block it was approved for.
    #[must_use]
    pub const fn context(&self) -> SnippetContext {
        self.context
    }

    /// As it was written. A line break has to follow it: it may end in a comment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Passes requests to other names where it passes them to those that `called`
    /// knows; what that returns is letters, digits and `_`, else it stays.
    ///
    /// # Errors
    ///
    /// Those of `called`.
    pub fn passing_to<E>(
        self,
        mut called: impl FnMut(&str) -> Result<Option<String>, E>,
    ) -> Result<Self, E> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let text = match &self.text {
            Cow::Borrowed(text) => *text,
            // It was renamed before.
            Cow::Owned(_) => return Ok(self),
        };
        let config = parse(text).unwrap_or_default();
        let text = renamed(text, &config, |name, _| {
            Ok(called(name)?.filter(|it| !it.is_empty() && it.bytes().all(plain)))
        })?;
        Ok(Self { text, ..self })
    }
}
