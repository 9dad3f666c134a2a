//! A configuration as a tree.

use std::{borrow::Cow, fmt};

use super::{error::Locator, lexer::decode};

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

impl Position {
    /// The position of the byte `at` in `text`.
    #[must_use]
    pub fn of(text: impl AsRef<[u8]>, at: usize) -> Self {
        Locator::new(text.as_ref()).advance(at)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// How a word is written. nginx forgets it: `"off"` means what `off` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quoting {
    /// As it stands.
    Bare,
    /// Between `'`.
    Single,
    /// Between `"`.
    Double,
}

/// A word: the name of a directive, or an argument.
///
/// Two words are equal when they are written the same, wherever they stand.
#[derive(Debug, Clone)]
pub struct Word<'a> {
    raw: &'a str,
    /// Where it differs from what stands between the quotes.
    value: Option<Box<str>>,
    quoting: Quoting,
    position: Position,
}

impl<'a> Word<'a> {
    pub(super) fn new(raw: &'a str, quoting: Quoting, position: Position) -> Self {
        let value = match decode(content(raw, quoting)) {
            Cow::Borrowed(_) => None,
            Cow::Owned(value) => Some(value.into_boxed_str()),
        };
        Self {
            raw,
            value,
            quoting,
            position,
        }
    }

    /// As it is written, with its quotes.
    #[must_use]
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// As nginx understands it: without quotes, and `\"`, `\'`, `\\`, `\t`,
    /// `\r` and `\n` resolved. Variables in it are not.
    #[must_use]
    pub fn value(&self) -> &str {
        self.value
            .as_deref()
            .unwrap_or_else(|| content(self.raw, self.quoting))
    }

    /// How it is written.
    #[must_use]
    pub const fn quoting(&self) -> Quoting {
        self.quoting
    }

    /// Where it begins.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }
}

impl PartialEq for Word<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Word<'_> {}

/// What stands between the quotes.
fn content(raw: &str, quoting: Quoting) -> &str {
    match quoting {
        Quoting::Bare => raw,
        Quoting::Single | Quoting::Double => &raw[1..raw.len() - 1],
    }
}

/// What stands in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockKind {
    /// Directives.
    Directives,
    /// Entries that are no directives, though they are written like some:
    /// those of `types`, `map`, `geo`, `split_clients` and `charset_map`.
    Values,
    /// Code of Lua: the blocks of OpenResty's `content_by_lua_block` and its like.
    Lua,
}

impl BlockKind {
    /// What stands in the block of the directive called `name`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "types" | "map" | "geo" | "split_clients" | "charset_map" => Self::Values,
            lua if lua.ends_with("_by_lua_block") => Self::Lua,
            _ => Self::Directives,
        }
    }
}

/// A block and what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block<'a> {
    /// See [`BlockKind::Directives`].
    Directives(Vec<Directive<'a>>),
    /// See [`BlockKind::Values`].
    Values(Vec<Entry<'a>>),
    /// See [`BlockKind::Lua`].
    Lua(&'a str),
}

/// A directive: its name, its arguments, and its block if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive<'a> {
    pub(super) name: Word<'a>,
    pub(super) arguments: Vec<Word<'a>>,
    pub(super) block: Option<Box<Block<'a>>>,
}

impl<'a> Directive<'a> {
    /// Its name as nginx understands it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.value()
    }

    /// Its name as a word.
    #[must_use]
    pub const fn name_word(&self) -> &Word<'a> {
        &self.name
    }

    /// Its arguments.
    #[must_use]
    pub fn arguments(&self) -> &[Word<'a>] {
        &self.arguments
    }

    /// Its block; `None` where it ends with `;`.
    #[must_use]
    pub fn block(&self) -> Option<&Block<'a>> {
        self.block.as_deref()
    }

    /// The directives in its block; none where it has no block of directives.
    #[must_use]
    pub fn directives(&self) -> &[Self] {
        match self.block() {
            Some(Block::Directives(directives)) => directives,
            _ => &[],
        }
    }

    /// Where it begins.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.name.position()
    }
}

/// An entry in a block of values, for example `text/html html htm;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a>(pub(super) Vec<Word<'a>>);

impl<'a> Entry<'a> {
    /// Its words; at least one.
    #[must_use]
    pub fn words(&self) -> &[Word<'a>] {
        &self.0
    }
}

/// A comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comment<'a> {
    pub(super) text: &'a str,
    pub(super) position: Position,
}

impl<'a> Comment<'a> {
    /// With `#`, without the end of the line.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// Where it begins.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }
}

/// A configuration: directives, and comments beside them.
///
/// Shown, it is a text that parses to the same directives; comments are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config<'a> {
    pub(super) directives: Vec<Directive<'a>>,
    pub(super) comments: Vec<Comment<'a>>,
}

impl<'a> Config<'a> {
    /// The outermost directives.
    #[must_use]
    pub fn directives(&self) -> &[Directive<'a>] {
        &self.directives
    }

    /// All comments, in the order of the text, wherever they stand.
    #[must_use]
    pub fn comments(&self) -> &[Comment<'a>] {
        &self.comments
    }
}
