//! Reads text as nginx's own lexer does (`src/core/ngx_conf_file.c`,
//! `ngx_conf_read_token`), to see the structure of rendered files.

/// A directive: its words, and what stands in its block if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its name and arguments as nginx understands them.
    pub words: Vec<Vec<u8>>,
    /// The directives in its braces.
    pub block: Option<Vec<Self>>,
}

impl Directive {
    /// What remains when the arguments' contents are taken away: names, counts
    /// of words and nesting.
    #[must_use]
    pub fn shape(&self) -> String {
        let name = String::from_utf8_lossy(self.words.first().map_or(&[], |word| word));
        let block = self.block.as_ref().map(|inner| shape(inner));
        format!("{name}/{}{}", self.words.len(), block.unwrap_or_default())
    }

    /// All words of the directive and of those in its block.
    pub fn all_words(&self) -> Box<dyn Iterator<Item = &[u8]> + '_> {
        let inner = self.block.iter().flatten().flat_map(Self::all_words);
        Box::new(self.words.iter().map(Vec::as_slice).chain(inner))
    }
}

/// The shapes of `directives` in braces.
#[must_use]
pub fn shape(directives: &[Directive]) -> String {
    let shapes: Vec<String> = directives.iter().map(Directive::shape).collect();
    format!("{{{}}}", shapes.join(";"))
}

/// Reads a file.
///
/// # Errors
///
/// In nginx's words, as far as it has some.
pub fn parse(text: &[u8]) -> Result<Vec<Directive>, String> {
    let mut reader = Reader { text, place: 0 };
    let directives = reader.block(0)?;
    if reader.place < text.len() {
        return Err("unexpected \"}\"".to_owned());
    }
    Ok(directives)
}

enum End {
    Semicolon,
    Block,
}

struct Reader<'a> {
    text: &'a [u8],
    place: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.place).copied()
    }

    fn skip_space_and_comments(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.place += 1,
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.place += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn block(&mut self, depth: usize) -> Result<Vec<Directive>, String> {
        let mut directives = Vec::new();
        loop {
            self.skip_space_and_comments();
            match self.peek() {
                None if depth == 0 => return Ok(directives),
                None => return Err("unexpected end of file, expecting \"}\"".to_owned()),
                Some(b'}') if depth == 0 => return Ok(directives),
                Some(b'}') => {
                    self.place += 1;
                    return Ok(directives);
                }
                Some(_) => directives.push(self.directive(depth)?),
            }
        }
    }

    fn directive(&mut self, depth: usize) -> Result<Directive, String> {
        let mut words = Vec::new();
        let end = loop {
            self.skip_space_and_comments();
            match self.peek() {
                None => return Err("unexpected end of file, expecting \";\" or \"}\"".to_owned()),
                Some(b';' | b'{') if words.is_empty() => {
                    return Err("unexpected \";\" or \"{\"".to_owned());
                }
                Some(b'}') => return Err("unexpected \"}\"".to_owned()),
                Some(b';') => break End::Semicolon,
                Some(b'{') => break End::Block,
                Some(quote @ (b'"' | b'\'')) => words.push(self.quoted(quote)?),
                Some(_) => words.push(self.bare()?),
            }
        };
        self.place += 1;
        let block = match end {
            End::Semicolon => None,
            End::Block => Some(self.block(depth + 1)?),
        };
        Ok(Directive { words, block })
    }

    fn quoted(&mut self, quote: u8) -> Result<Vec<u8>, String> {
        self.place += 1;
        let mut word = Vec::new();
        loop {
            match self.peek().ok_or("unexpected end of file in a string")? {
                byte if byte == quote => break,
                b'\\' => self.escape(&mut word),
                byte => {
                    word.push(byte);
                    self.place += 1;
                }
            }
        }
        self.place += 1;
        match self.peek() {
            Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') => Ok(word),
            other => Err(format!("unexpected {other:?} after a string")),
        }
    }

    fn bare(&mut self) -> Result<Vec<u8>, String> {
        let mut word = Vec::new();
        let mut variable = false;
        loop {
            match self.peek() {
                None => return Err("unexpected end of file in a word".to_owned()),
                Some(b' ' | b'\t' | b'\r' | b'\n' | b';') => return Ok(word),
                Some(b'{') if !variable => return Ok(word),
                Some(b'\\') => self.escape(&mut word),
                Some(byte) => {
                    variable = byte == b'$';
                    word.push(byte);
                    self.place += 1;
                }
            }
        }
    }

    fn escape(&mut self, word: &mut Vec<u8>) {
        let next = self.text.get(self.place + 1).copied();
        match next {
            Some(byte @ (b'"' | b'\'' | b'\\')) => word.push(byte),
            Some(b't') => word.push(b'\t'),
            Some(b'r') => word.push(b'\r'),
            Some(b'n') => word.push(b'\n'),
            other => {
                word.push(b'\\');
                word.extend(other);
            }
        }
        self.place += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_nginx_reads_them() {
        let text = br#"a b"c 'd e' "f\"\\\n\x" ${g} $h; # i;
j { k; }"#;
        let read = parse(text).unwrap();
        let expected: [&[u8]; 6] = [b"a", b"b\"c", b"d e", b"f\"\\\n\\x", b"${g}", b"$h"];
        assert_eq!(read[0].words, expected);
        assert_eq!(shape(&read), "{a/6;j/1{k/1}}");
    }

    #[test]
    fn what_nginx_refuses_is_refused() {
        for text in ["a", "a {", "a; }", "\"a\"b;", "\"a;", ";", "{ }", "a }"] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?} was accepted");
        }
    }
}
