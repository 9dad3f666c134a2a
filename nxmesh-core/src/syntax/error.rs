//! Why a text is not nginx configuration.

use super::tree::Position;

/// What a text breaks, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {rule}")]
pub struct SyntaxError {
    /// The place; of what is not closed, where it was opened.
    pub position: Position,
    /// The rule that is broken there.
    pub rule: SyntaxRule,
}

/// The rules of nginx's configuration language, and bounds of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxRule {
    /// A directive has a name.
    #[error("a directive begins with its name, not with ';' or '{{'")]
    NoName,
    /// A simple directive ends with `;`.
    #[error("a directive ends with ';' or has a block")]
    NotTerminated,
    /// `}` within a directive.
    #[error("a directive before '}}' ends with ';'")]
    CloseInDirective,
    /// `}` without `{`.
    #[error("a '}}' closes a block that was opened before")]
    NothingToClose,
    /// `{` without `}`.
    #[error("a block that is opened is closed with '}}'")]
    BlockNotClosed,
    /// A block in the block of `types`, `map`, `geo` and the like.
    #[error("a block of values has no blocks in it")]
    BlockInValues,
    /// A quote without its second.
    #[error("a quote that is opened is closed")]
    QuoteNotClosed,
    /// A word that goes on after its closing quote.
    #[error("after a closing quote comes a space, ';', '{{' or ')'")]
    AfterQuote,
    /// A word that does not fit into nginx's buffer.
    #[error("a word fits into 4096 bytes together with what ends it")]
    WordTooLong,
    /// A comment that does not fit into nginx's buffer.
    #[error("a comment fits into 4096 bytes together with the end of its line")]
    CommentTooLong,
    /// Our bound for blocks in blocks.
    #[error("blocks lie at most {} deep in each other", super::MAX_DEPTH)]
    TooDeep,
    /// Our bound for words.
    #[error("a text has at most {} words", super::MAX_WORDS)]
    TooManyWords,
    /// Our bound for bytes.
    #[error("a text has at most {} bytes", super::MAX_BYTES)]
    TooManyBytes,
}

/// A broken rule at a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    at: usize,
    rule: SyntaxRule,
}

impl Fault {
    pub(super) const fn new(at: usize, rule: SyntaxRule) -> Self {
        Self { at, rule }
    }

    /// The same with line and column in `text`.
    #[cold]
    pub(super) fn locate(self, text: &[u8]) -> SyntaxError {
        SyntaxError {
            position: Locator::new(text).advance(self.at),
            rule: self.rule,
        }
    }
}

/// Counts lines and columns while it goes through a text once.
#[derive(Debug)]
pub(super) struct Locator<'a> {
    text: &'a [u8],
    at: usize,
    position: Position,
}

impl<'a> Locator<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            position: Position { line: 1, column: 1 },
        }
    }

    /// The position of the byte `at`, which is not before the last one asked for.
    pub(super) fn advance(&mut self, at: usize) -> Position {
        let at = at.min(self.text.len());
        for &byte in &self.text[self.at.min(at)..at] {
            if byte == b'\n' {
                self.position.line += 1;
                self.position.column = 1;
            } else if byte & 0xc0 != 0x80 {
                // Bytes that go on with a character do not count.
                self.position.column += 1;
            }
        }
        self.at = self.at.max(at);
        self.position
    }
}
