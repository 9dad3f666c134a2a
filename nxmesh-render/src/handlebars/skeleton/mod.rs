//! What templates say whatever their values are: directives, blocks and words.
//!
//! A template is gone through as nginx's lexer would go through what it writes,
//! along every way through its conditions and lists at once. Each condition, list
//! and included template closes the blocks it opens, and no others. So a template
//! that forgets a brace is refused with its line, not when the first document
//! meets it. The values are looked at when they are written, see
//! [`crate::structure`].

mod way;

use std::collections::BTreeSet;

use nxmesh_core::{contract::renderer::RenderError, syntax::SyntaxRule};

use self::way::Way;
use super::scope::At;

/// The most characters that are gone through, along all ways: lists in lists are
/// gone through more than once.
const MAX_CHARACTERS: usize = 8 << 20;

const TOO_MUCH: &str = "what is written here depends on too much around it";

/// The most ways that are followed at once; templates need three or four.
const MAX_WAYS: usize = 64;

/// A part of a template.
#[derive(Debug)]
pub(super) enum Piece {
    Text(String, Cursor),
    Word(At),
    Snippet(At),
    /// One of two.
    Choice(Vec<Self>, Vec<Self>, At),
    /// The first any number of times, or else the second.
    Repeat(Vec<Self>, Vec<Self>, At),
    /// An included template.
    Included(Vec<Self>),
}

/// A place in the text of a template.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    pub(super) template: String,
    pub(super) line: usize,
    pub(super) column: usize,
    /// How far its lines were moved to the right.
    pub(super) indent: usize,
}

impl Cursor {
    fn at(&self) -> At {
        At {
            template: self.template.clone(),
            line: self.line,
            column: self.column.saturating_sub(self.indent).max(1),
        }
    }

    fn advance(&mut self, character: char) {
        if character == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
    }
}

/// Refuses a template that does not write whole directives and blocks.
pub(super) fn check(pieces: &[Piece]) -> Result<(), RenderError> {
    let mut walk = Walk {
        left: MAX_CHARACTERS,
    };
    for way in walk.run(pieces, BTreeSet::from([Way::default()]))? {
        if let Some(at) = &way.begun {
            return Err(at.error(SyntaxRule::NotTerminated.to_string()));
        }
        if let Some((_, at)) = way.open.last() {
            return Err(at.error(SyntaxRule::BlockNotClosed.to_string()));
        }
    }
    Ok(())
}

struct Walk {
    /// How many characters may still be gone through.
    left: usize,
}

impl Walk {
    fn run(
        &mut self,
        pieces: &[Piece],
        mut ways: BTreeSet<Way>,
    ) -> Result<BTreeSet<Way>, RenderError> {
        for piece in pieces {
            ways = match piece {
                Piece::Text(text, start) => {
                    let characters = text.len() * ways.len();
                    self.left = self
                        .left
                        .checked_sub(characters)
                        .ok_or_else(|| start.at().error(TOO_MUCH))?;
                    let mut ends = BTreeSet::new();
                    for way in ways {
                        ends.extend(way.text(text, start.clone())?);
                    }
                    ends
                }
                Piece::Word(at) => {
                    let mut ends = BTreeSet::new();
                    for way in ways {
                        ends.extend(way.word(at)?);
                    }
                    ends
                }
                Piece::Snippet(at) => {
                    if ways.iter().any(|way| !way.takes_directives()) {
                        return Err(at.error("a snippet stands where a directive could stand"));
                    }
                    ways
                }
                Piece::Included(pieces) => self.part(pieces, ways)?,
                Piece::Choice(one, other, at) => {
                    let mut ends = self.part(one, ways.clone())?;
                    ends.extend(self.part(other, ways)?);
                    bounded(ends, at)?
                }
                Piece::Repeat(body, none, at) => self.repeat(body, none, ways, at)?,
            };
        }
        Ok(ways)
    }

    fn repeat(
        &mut self,
        body: &[Piece],
        none: &[Piece],
        ways: BTreeSet<Way>,
        at: &At,
    ) -> Result<BTreeSet<Way>, RenderError> {
        let mut ends = self.part(none, ways.clone())?;
        let mut tried = BTreeSet::new();
        let mut new = ways;
        while !new.is_empty() {
            // A body that is empty is gone through at no cost otherwise.
            self.left = self.left.checked_sub(1).ok_or_else(|| at.error(TOO_MUCH))?;
            let reached = self.part(body, new.clone())?;
            tried.append(&mut new);
            new = reached.difference(&tried).cloned().collect();
            ends.extend(reached);
            bounded(&ends | &tried, at)?;
        }
        Ok(ends)
    }

    /// Runs a part that closes what it opens.
    fn part(
        &mut self,
        pieces: &[Piece],
        ways: BTreeSet<Way>,
    ) -> Result<BTreeSet<Way>, RenderError> {
        let enter = |mut way: Way| {
            way.parts.push((way.open.len(), way.is_quoted()));
            way
        };
        let leave = |mut way: Way| {
            let (before, quoted) = way.parts.pop().unwrap_or_default();
            let (rule, at) = match (way.open.get(before), &way.begun) {
                (_, Some(at)) if way.is_quoted() && !quoted => (SyntaxRule::QuoteNotClosed, at),
                (Some((_, at)), _) => (SyntaxRule::BlockNotClosed, at),
                _ => return Ok(way),
            };
            Err(at.error(format!("{rule}, {SAME_PART}")))
        };
        let ways = ways.into_iter().map(enter).collect();
        self.run(pieces, ways)?.into_iter().map(leave).collect()
    }
}

fn bounded(ways: BTreeSet<Way>, at: &At) -> Result<BTreeSet<Way>, RenderError> {
    if ways.len() > MAX_WAYS {
        return Err(at.error(TOO_MUCH));
    }
    Ok(ways)
}

const SAME_PART: &str = "in the same {{#if}}, {{#each}}, {{#with}} or template";
