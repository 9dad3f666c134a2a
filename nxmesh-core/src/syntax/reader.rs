//! Directives and blocks, read one by one without building anything.

use super::{
    BlockKind, MAX_DEPTH,
    error::{Fault, SyntaxError, SyntaxRule},
    lexer::{Kind, Lexer, Token, decode},
    tree::Quoting,
};

/// What comes next in a configuration. Places are bytes of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A word of a directive, or of an entry in a block of values.
    Word {
        /// How it is written.
        quoting: Quoting,
        /// Its place in the directive; 0 is the name.
        index: usize,
        /// Its first byte; the quote, if it has one.
        start: usize,
        /// The byte behind it.
        end: usize,
    },
    /// The `;` behind a directive.
    End {
        /// Its byte.
        at: usize,
    },
    /// The `{` behind a directive.
    Open {
        /// What stands in the block.
        kind: BlockKind,
        /// Its byte.
        at: usize,
    },
    /// What stands in a block of [`BlockKind::Lua`].
    Lua {
        /// Its first byte.
        start: usize,
        /// The byte behind it.
        end: usize,
    },
    /// The `}` of a block.
    Close {
        /// Its byte.
        at: usize,
    },
    /// A comment, with `#` and without the end of the line.
    Comment {
        /// Its first byte.
        start: usize,
        /// The byte behind it.
        end: usize,
    },
    /// The end of the text; nothing is left open.
    Done,
}

/// A block that is open.
#[derive(Debug)]
struct Open {
    kind: BlockKind,
    at: usize,
}

/// Reads a configuration event by event, in time linear to its length and with
/// memory for its open blocks only.
///
/// ```
/// use nxmesh_core::syntax::{Event, Reader};
///
/// let mut reader = Reader::new("listen 80;".as_bytes());
/// let mut words = 0;
/// while let Event::Word { .. } = reader.next()? {
///     words += 1;
/// }
/// assert_eq!(words, 2);
/// assert_eq!(reader.next()?, Event::Done);
/// # Ok::<(), nxmesh_core::syntax::SyntaxError>(())
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a [u8],
    lexer: Lexer<'a>,
    open: Vec<Open>,
    /// The first word of the directive that is being read.
    name: Option<Token>,
    /// How many words of it were read.
    index: usize,
    /// A `}` that was read together with the Lua before it.
    close: Option<usize>,
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `text`.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            lexer: Lexer::new(text),
            open: Vec::new(),
            name: None,
            index: 0,
            close: None,
        }
    }

    /// How many blocks are open.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// What the innermost open block holds; directives where there is none.
    #[must_use]
    pub fn block(&self) -> BlockKind {
        self.open
            .last()
            .map_or(BlockKind::Directives, |open| open.kind)
    }

    /// What comes next.
    ///
    /// # Errors
    ///
    /// [`SyntaxError`] where nginx would refuse the text, and for blocks deeper
    /// than [`MAX_DEPTH`]. Nothing more can be read then.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would have to end twice: with an error and with the text"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Event, SyntaxError> {
        self.event().map_err(|fault| fault.locate(self.text))
    }

    #[inline]
    fn event(&mut self) -> Result<Event, Fault> {
        if let Some(at) = self.close.take() {
            self.open.pop();
            return Ok(Event::Close { at });
        }
        if let Some(open) = self.open.last()
            && open.kind == BlockKind::Lua
        {
            let (start, end) = self
                .lexer
                .lua()
                .ok_or(Fault::new(open.at, SyntaxRule::BlockNotClosed))?;
            self.close = Some(end);
            return Ok(Event::Lua { start, end });
        }
        let token = self.lexer.next()?;
        let Token { kind, start, end } = token;
        match kind {
            Kind::Word(quoting) => Ok(self.word(quoting, token)),
            Kind::Comment => Ok(Event::Comment { start, end }),
            Kind::Semicolon => {
                self.name
                    .take()
                    .ok_or(Fault::new(start, SyntaxRule::NoName))?;
                self.index = 0;
                Ok(Event::End { at: start })
            }
            Kind::Open => self.open(start),
            Kind::Close => {
                if self.name.is_some() {
                    return Err(Fault::new(start, SyntaxRule::CloseInDirective));
                }
                self.open
                    .pop()
                    .ok_or(Fault::new(start, SyntaxRule::NothingToClose))?;
                Ok(Event::Close { at: start })
            }
            Kind::End => self.end(),
        }
    }

    const fn word(&mut self, quoting: Quoting, token: Token) -> Event {
        let index = self.index;
        if index == 0 {
            self.name = Some(token);
        }
        self.index += 1;
        Event::Word {
            quoting,
            index,
            start: token.start,
            end: token.end,
        }
    }

    fn open(&mut self, at: usize) -> Result<Event, Fault> {
        let name = self.name.take().ok_or(Fault::new(at, SyntaxRule::NoName))?;
        if self.block() == BlockKind::Values {
            return Err(Fault::new(at, SyntaxRule::BlockInValues));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Fault::new(at, SyntaxRule::TooDeep));
        }
        self.index = 0;
        let kind = self.kind_of(name);
        self.open.push(Open { kind, at });
        Ok(Event::Open { kind, at })
    }

    fn kind_of(&self, name: Token) -> BlockKind {
        let raw = &self.text[name.start..name.end];
        let content = match name.kind {
            Kind::Word(Quoting::Single | Quoting::Double) => &raw[1..raw.len() - 1],
            _ => raw,
        };
        std::str::from_utf8(content).map_or(BlockKind::Directives, |content| {
            BlockKind::of(&decode(content))
        })
    }

    fn end(&self) -> Result<Event, Fault> {
        if let Some(name) = self.name {
            return Err(Fault::new(name.start, SyntaxRule::NotTerminated));
        }
        if let Some(open) = self.open.last() {
            return Err(Fault::new(open.at, SyntaxRule::BlockNotClosed));
        }
        Ok(Event::Done)
    }
}
