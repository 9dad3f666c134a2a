//! From text to tree.

use super::{
    BlockKind, Event, MAX_BYTES, MAX_WORDS, Reader, SyntaxError,
    error::{Fault, Locator, SyntaxRule},
    tree::{Block, Comment, Config, Directive, Entry, Word},
};

/// Parses a configuration file, or a part of one.
///
/// Accepts exactly what nginx's parser accepts before it looks at the meaning
/// of directives, within [`MAX_BYTES`](super::MAX_BYTES) and the other bounds.
/// Takes linear time and does not recurse.
///
/// # Errors
///
/// [`SyntaxError`] with line, column and rule.
///
/// ```
/// use nxmesh_core::syntax::parse;
///
/// let config = parse("location /a { return 200 'a \\'quote\\''; } # why")?;
/// let location = &config.directives()[0];
/// assert_eq!(location.name(), "location");
/// assert_eq!(location.arguments()[0].value(), "/a");
/// let respond = &location.directives()[0];
/// assert_eq!(respond.arguments()[1].value(), "a 'quote'");
/// assert_eq!(respond.position().to_string(), "line 1, column 15");
/// assert_eq!(config.comments()[0].text(), "# why");
/// assert_eq!(config.to_string(), "location /a {\n    return 200 'a \\'quote\\'';\n}\n");
///
/// let error = parse("location / {\n    return 200;\n").unwrap_err();
/// assert_eq!(error.to_string(), "line 1, column 12: a block that is opened is closed with '}'");
/// # Ok::<(), nxmesh_core::syntax::SyntaxError>(())
/// ```
pub fn parse(text: &str) -> Result<Config<'_>, SyntaxError> {
    let refused = |at, rule| Err(Fault::new(at, rule).locate(text.as_bytes()));
    if text.len() > MAX_BYTES {
        return refused(0, SyntaxRule::TooManyBytes);
    }
    let mut reader = Reader::new(text.as_bytes());
    let mut locator = Locator::new(text.as_bytes());
    let mut building = Building::default();
    let mut comments = Vec::new();
    let mut words = 0;
    loop {
        match reader.next()? {
            Event::Word {
                quoting,
                start,
                end,
                ..
            } => {
                words += 1;
                if words > MAX_WORDS {
                    return refused(start, SyntaxRule::TooManyWords);
                }
                let position = locator.advance(start);
                building
                    .words
                    .push(Word::new(&text[start..end], quoting, position));
            }
            Event::End { .. } => building.end(reader.block()),
            Event::Open { kind, .. } => building.open(kind),
            Event::Lua { start, end } => building.lua = &text[start..end],
            Event::Close { .. } => building.close(),
            Event::Comment { start, end } => comments.push(Comment {
                text: &text[start..end],
                position: locator.advance(start),
            }),
            Event::Done => {
                return Ok(Config {
                    directives: building.directives,
                    comments,
                });
            }
        }
    }
}

/// A tree that is being built: the innermost open block, and those around it.
#[derive(Default)]
struct Building<'a> {
    /// Of the directive that is being read.
    words: Vec<Word<'a>>,
    directives: Vec<Directive<'a>>,
    entries: Vec<Entry<'a>>,
    lua: &'a str,
    around: Vec<Around<'a>>,
}

/// What is left to be done when a block closes.
struct Around<'a> {
    words: Vec<Word<'a>>,
    kind: BlockKind,
    /// What stands before the block in the one around it.
    before: Vec<Directive<'a>>,
}

impl<'a> Building<'a> {
    fn end(&mut self, block: BlockKind) {
        let words = std::mem::take(&mut self.words);
        if block == BlockKind::Values {
            self.entries.push(Entry(words));
        } else {
            self.push(words, None);
        }
    }

    fn open(&mut self, kind: BlockKind) {
        self.around.push(Around {
            words: std::mem::take(&mut self.words),
            kind,
            before: std::mem::take(&mut self.directives),
        });
    }

    fn close(&mut self) {
        // The reader lets no block close that was not opened.
        let Some(around) = self.around.pop() else {
            return;
        };
        let inner = std::mem::replace(&mut self.directives, around.before);
        let block = match around.kind {
            BlockKind::Directives => Block::Directives(inner),
            BlockKind::Values => Block::Values(std::mem::take(&mut self.entries)),
            BlockKind::Lua => Block::Lua(std::mem::take(&mut self.lua)),
        };
        self.push(around.words, Some(Box::new(block)));
    }

    fn push(&mut self, words: Vec<Word<'a>>, block: Option<Box<Block<'a>>>) {
        let mut words = words.into_iter();
        // Nor a directive that has no name.
        let Some(name) = words.next() else {
            return;
        };
        self.directives.push(Directive {
            name,
            arguments: words.collect(),
            block,
        });
    }
}
