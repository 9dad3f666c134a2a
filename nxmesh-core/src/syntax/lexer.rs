//! Tokens, exactly as nginx reads them (`src/core/ngx_conf_file.c`,
//! `ngx_conf_read_token`).

use std::borrow::Cow;

use super::{
    error::{Fault, SyntaxRule},
    tree::Quoting,
};

/// nginx reads its files through a buffer of this many bytes, in which a word
/// with what ends it, or a comment, has to fit (`NGX_CONF_BUFFER`).
const BUFFER: usize = 4096;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word(Quoting),
    Semicolon,
    Open,
    Close,
    Comment,
    /// The end of the text.
    End,
}

/// A token and the bytes it stands on; those of a quoted word with its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Cuts a text into tokens. What may follow what is the reader's business.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    place: usize,
}

/// What a byte means in a bare word.
const ENDS: u8 = 1;
const ESCAPES: u8 = 2;
const BARE: [u8; 256] = {
    let mut table = [0; 256];
    table[b' ' as usize] = ENDS;
    table[b'\t' as usize] = ENDS;
    table[b'\r' as usize] = ENDS;
    table[b'\n' as usize] = ENDS;
    table[b';' as usize] = ENDS;
    table[b'{' as usize] = ENDS;
    table[b'\\' as usize] = ESCAPES;
    table[b'$' as usize] = ESCAPES;
    table
};

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A byte, eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The place of the first byte from `place` on that ends or escapes, or the end.
/// Looks at eight bytes at a time: words are short, so that a step for each byte
/// would mostly cost wrong guesses of the processor.
fn first_in_bare(text: &[u8], mut place: usize) -> usize {
    let zero = |bytes: u64| bytes.wrapping_sub(eight(1)) & !bytes & eight(0x80);
    while let Some(chunk) = text.get(place..).and_then(<[u8]>::first_chunk) {
        let bytes = u64::from_le_bytes(*chunk);
        // The lowest bit that is set is right, those above it need not be.
        let control = bytes.wrapping_sub(eight(b' ' + 1)) & !bytes & eight(0x80);
        let found = control
            | zero(bytes ^ eight(b';'))
            | zero(bytes ^ eight(b'{'))
            | zero(bytes ^ eight(b'$'))
            | zero(bytes ^ eight(b'\\'));
        if found == 0 {
            place += 8;
            continue;
        }
        place += found.trailing_zeros() as usize / 8;
        if BARE[usize::from(text[place])] != 0 {
            return place;
        }
        // Another control character.
        place += 1;
    }
    let rest = text.get(place..).unwrap_or_default();
    let plain = rest.iter().position(|byte| BARE[usize::from(*byte)] != 0);
    plain.map_or(text.len(), |plain| place + plain)
}

/// The place of the first byte from `place` on that is no blank, or the end.
fn behind_blanks(text: &[u8], mut place: usize) -> usize {
    while let Some(chunk) = text.get(place..).and_then(<[u8]>::first_chunk) {
        let others = u64::from_le_bytes(*chunk) ^ eight(b' ');
        if others != 0 {
            return place + others.trailing_zeros() as usize / 8;
        }
        place += 8;
    }
    let rest = text.get(place..).unwrap_or_default();
    let blanks = rest.iter().position(|byte| *byte != b' ');
    blanks.map_or(text.len(), |blanks| place + blanks)
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, place: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.place).copied()
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<Token, Fault> {
        while let Some(byte) = self.peek().filter(|byte| is_space(*byte)) {
            self.place += 1;
            if byte == b'\n' {
                // Mostly a new line is indented.
                self.place = behind_blanks(self.text, self.place);
            }
        }
        let start = self.place;
        let kind = match self.peek() {
            None => Kind::End,
            Some(b';') => self.one(Kind::Semicolon),
            Some(b'{') => self.one(Kind::Open),
            Some(b'}') => self.one(Kind::Close),
            Some(b'#') => self.comment()?,
            Some(b'"') => self.quoted(b'"', Quoting::Double)?,
            Some(b'\'') => self.quoted(b'\'', Quoting::Single)?,
            Some(_) => self.bare()?,
        };
        Ok(Token {
            kind,
            start,
            end: self.place,
        })
    }

    const fn one(&mut self, kind: Kind) -> Kind {
        self.place += 1;
        kind
    }

    fn comment(&mut self) -> Result<Kind, Fault> {
        let start = self.place;
        let rest = &self.text[start..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        // A line break is read too, the end of the file is not.
        let (length, read) = length.map_or((rest.len(), rest.len()), |at| (at, at + 1));
        if read > BUFFER {
            return Err(Fault::new(start, SyntaxRule::CommentTooLong));
        }
        self.place += length;
        Ok(Kind::Comment)
    }

    fn quoted(&mut self, quote: u8, quoting: Quoting) -> Result<Kind, Fault> {
        let start = self.place;
        // The buffer begins behind the quote.
        let content = start + 1;
        let limit = self.text.len().min(content + BUFFER);
        self.place = content;
        loop {
            match self.text[..limit].get(self.place) {
                None if limit < self.text.len() => {
                    return Err(Fault::new(start, SyntaxRule::WordTooLong));
                }
                None => return Err(Fault::new(start, SyntaxRule::QuoteNotClosed)),
                Some(b'\\') => self.place += 2,
                Some(&byte) => {
                    self.place += 1;
                    if byte == quote {
                        break;
                    }
                }
            }
        }
        // What follows is read into the same buffer, and what follows a space.
        let read = match self.peek() {
            Some(byte) if is_space(byte) => self.place + 2,
            None | Some(b';' | b'{' | b')') => self.place + 1,
            Some(_) => return Err(Fault::new(self.place, SyntaxRule::AfterQuote)),
        };
        self.fits(start, content, read)?;
        Ok(Kind::Word(quoting))
    }

    fn bare(&mut self) -> Result<Kind, Fault> {
        let start = self.place;
        let limit = self.text.len().min(start + BUFFER);
        let text = &self.text[..limit];
        loop {
            self.place = first_in_bare(text, self.place);
            match text.get(self.place) {
                Some(b'\\') => self.place += 2,
                Some(b'$') => {
                    self.place += 1;
                    // Any number of braces belongs to a variable.
                    while text.get(self.place) == Some(&b'{') {
                        self.place += 1;
                    }
                }
                Some(&byte) => {
                    let read = self.place + if is_space(byte) { 2 } else { 1 };
                    self.fits(start, start, read)?;
                    break;
                }
                None if limit < self.text.len() => {
                    return Err(Fault::new(start, SyntaxRule::WordTooLong));
                }
                None => {
                    // An escape may have led beyond the end.
                    self.place = limit;
                    break;
                }
            }
        }
        Ok(Kind::Word(Quoting::Bare))
    }

    /// Refuses a word whose buffer, which begins at `content`, is full before
    /// nginx has read up to `read`, as far as the text goes.
    fn fits(&self, start: usize, content: usize, read: usize) -> Result<(), Fault> {
        if read - content > BUFFER && read <= self.text.len() {
            return Err(Fault::new(start, SyntaxRule::WordTooLong));
        }
        Ok(())
    }

    /// Goes behind the brace that ends a block of Lua, and gives the bytes
    /// before it. Braces in Lua's strings and comments do not count (Lua 5.1
    /// reference manual, section 2.1).
    pub(super) fn lua(&mut self) -> Option<(usize, usize)> {
        let start = self.place;
        let mut depth = 0_usize;
        loop {
            let byte = self.peek()?;
            self.place += 1;
            match byte {
                b'{' => depth += 1,
                b'}' if depth == 0 => return Some((start, self.place - 1)),
                b'}' => depth -= 1,
                b'"' | b'\'' => loop {
                    match self.peek()? {
                        b'\\' => self.place += 2,
                        other => {
                            self.place += 1;
                            if other == byte {
                                break;
                            }
                        }
                    }
                },
                b'-' if self.peek() == Some(b'-') => {
                    self.place += 1;
                    if !self.long_bracket()? {
                        let rest = &self.text[self.place..];
                        self.place += rest.iter().position(|&byte| byte == b'\n')?;
                    }
                }
                b'[' => {
                    self.place -= 1;
                    if !self.long_bracket()? {
                        self.place += 1;
                    }
                }
                _ => {}
            }
        }
    }

    /// Goes behind `[[…]]` or `[=[…]=]`, if one begins here.
    fn long_bracket(&mut self) -> Option<bool> {
        let rest = &self.text[self.place..];
        let level = rest
            .iter()
            .skip(1)
            .take_while(|&&byte| byte == b'=')
            .count();
        if rest.first() != Some(&b'[') || rest.get(level + 1) != Some(&b'[') {
            return Some(false);
        }
        let mut end = vec![b'='; level + 2];
        end[0] = b']';
        end[level + 1] = b']';
        let from = level + 2;
        let at = rest[from..]
            .windows(end.len())
            .position(|part| part == end)?;
        self.place += from + at + end.len();
        Some(true)
    }
}

/// What nginx makes of the bytes of a word: `\"`, `\'` and `\\` lose their
/// backslash, `\t`, `\r` and `\n` are control characters, and any other
/// backslash stays.
pub(super) fn decode(content: &str) -> Cow<'_, str> {
    if !content.contains('\\') {
        return Cow::Borrowed(content);
    }
    let mut value = String::with_capacity(content.len());
    let mut characters = content.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            value.push(character);
            continue;
        }
        match characters.next() {
            Some(quoted @ ('"' | '\'' | '\\')) => value.push(quoted),
            Some('t') => value.push('\t'),
            Some('r') => value.push('\r'),
            Some('n') => value.push('\n'),
            other => {
                value.push('\\');
                value.extend(other);
            }
        }
    }
    Cow::Owned(value)
}
