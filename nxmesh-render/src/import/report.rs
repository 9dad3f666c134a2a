//! What did not become a field.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::node::Node;

/// What became of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It is part of a Snippet, in its place.
    Snippet {
        /// The Snippet's name.
        name: String,
    },
    /// NxMesh sets this itself, or does without.
    Replaced {
        /// What stands in its place.
        by: String,
    },
    /// It is not in what was imported.
    Lost {
        /// Why, and what helps.
        reason: String,
    },
}

/// A directive that did not become a field, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The file.
    pub file: PathBuf,
    /// From 1.
    pub line: u32,
    /// The directive's name.
    pub directive: String,
    /// What became of it.
    pub fate: Fate,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, directive) = (self.file.display(), &self.directive);
        write!(f, "{file}:{}: {directive}: ", self.line)?;
        match &self.fate {
            Fate::Snippet { name } => write!(f, "in Snippet/{name}"),
            Fate::Replaced { by } => write!(f, "replaced: {by}"),
            Fate::Lost { reason } => write!(f, "NOT IMPORTED: {reason}"),
        }
    }
}

/// The notes while they are taken.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Note>);

impl Report {
    pub(super) fn snippet(&mut self, node: &Node, name: &str) {
        let name = name.to_owned();
        self.say(node, Fate::Snippet { name });
    }

    pub(super) fn replaced(&mut self, node: &Node, by: &str) {
        let by = by.to_owned();
        self.say(node, Fate::Replaced { by });
    }

    pub(super) fn lost(&mut self, node: &Node, reason: impl fmt::Display) {
        let reason = reason.to_string();
        self.say(node, Fate::Lost { reason });
    }

    /// Where the notes end now.
    pub(super) const fn mark(&self) -> usize {
        self.0.len()
    }

    /// Takes back what was noted since: it became of the directives otherwise.
    pub(super) fn back_to(&mut self, mark: usize) {
        self.0.truncate(mark);
    }

    fn say(&mut self, node: &Node, fate: Fate) {
        self.0.push(Note {
            file: Path::to_owned(&node.file),
            line: node.line,
            directive: node.name.clone(),
            fate,
        });
    }

    pub(super) fn into_notes(self) -> Vec<Note> {
        self.0
    }
}
