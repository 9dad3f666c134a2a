//! Words of nginx configuration: the one way text gets into a file.
//!
//! nginx reads a double-quoted word back byte for byte when `\` and `"` in it
//! are escaped and it has no control characters (`src/core/ngx_conf_file.c`,
//! `ngx_conf_read_token`). Directives that expand variables need one thing
//! more: a literal `$` is written as a variable that holds it.

use std::{fmt, io::Write as _};

/// The longest word nginx reads wherever it stands, in bytes, with its quotes;
/// one without quotes is a byte shorter (`src/core/ngx_conf_file.c`, `NGX_CONF_BUFFER`).
pub const MAX_WORD_BYTES: usize = 4095;

/// How a literal `$` is written where variables are expanded. The variable is
/// defined in the `http.conf` of [`placement`](crate::placement).
const DOLLAR: &str = "${nxmesh_dollar}";

/// One word of nginx configuration, already quoted.
///
/// Text becomes a word only through [`quote`] and [`quote_expanding`].
///
/// ```
/// use nxmesh_render::token::{quote, quote_expanding};
///
/// assert_eq!(quote("/srv/shop")?.to_string(), "/srv/shop");
/// assert_eq!(quote("a \"b\"; }")?.to_string(), r#""a \"b\"; }""#);
/// assert_eq!(quote("$5")?.to_string(), r#""$5""#);
/// assert_eq!(quote_expanding("$5")?.to_string(), r#""${nxmesh_dollar}5""#);
/// assert!(quote("two\nlines").is_err());
/// # Ok::<(), nxmesh_render::token::QuoteError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a>(Form<'a>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form<'a> {
    Plain(&'a str),
    Owned(String),
    Number(u64),
}

impl Word<'_> {
    /// A number.
    #[must_use]
    pub const fn number(number: u64) -> Self {
        Self(Form::Number(number))
    }

    /// A word of our own that nginx reads as it stands.
    pub(crate) const fn fixed(word: &'static str) -> Self {
        Self(Form::Plain(word))
    }

    /// A word of our own that was made: a digest, a size, a time.
    pub(crate) fn own(value: impl ToString) -> Self {
        let word = value.to_string();
        debug_assert!(is_plain(&word), "{word:?} needs quotes");
        Self(Form::Owned(word))
    }

    /// The empty word.
    pub(crate) const fn empty() -> Self {
        Self(Form::Plain("\"\""))
    }

    /// The value of an nginx variable, by its name without `$`.
    pub(crate) fn variable(name: &'static str) -> Self {
        Self(Form::Owned(format!("${name}")))
    }

    /// The value of a variable whose name, without `$`, was made here.
    pub(crate) fn made_variable(name: impl fmt::Display) -> Self {
        Self(Form::Owned(format!("${name}")))
    }

    /// A share, as nginx writes it.
    pub(crate) fn percent(percent: nxmesh_core::model::value::Percent) -> Self {
        Self(Form::Owned(percent.to_string()))
    }

    /// A status, as the last word of `try_files`.
    pub(crate) fn status(status: u16) -> Self {
        Self(Form::Owned(format!("={status}")))
    }

    /// Whether a variable whose name, without `$`, was made here is neither empty
    /// nor 0: for `if`.
    pub(crate) fn condition(name: impl fmt::Display) -> Self {
        Self(Form::Owned(format!("(${name})")))
    }

    /// A text of our own with variables in it, as nginx reads it between quotes.
    pub(crate) fn expression(text: impl fmt::Display) -> Self {
        Self(Form::Owned(format!("\"{text}\"")))
    }

    /// The word without its quotes, to stand in a larger one that has them.
    pub(crate) fn bare(&self) -> String {
        let text = self.to_string();
        let inner = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        inner.map_or(text.clone(), ToOwned::to_owned)
    }

    /// The name of a location that only nginx leads to.
    pub(crate) fn internal_location(name: &str) -> Self {
        Self(Form::Owned(format!("@{name}")))
    }

    /// The same word, independent of the text it was made from.
    pub(crate) fn into_owned(self) -> Word<'static> {
        Word(match self.0 {
            Form::Plain(text) => Form::Owned(text.to_owned()),
            Form::Owned(text) => Form::Owned(text),
            Form::Number(number) => Form::Number(number),
        })
    }

    /// Appends the word to `output`.
    pub(crate) fn write_to(&self, output: &mut Vec<u8>) {
        match &self.0 {
            Form::Plain(text) => output.extend_from_slice(text.as_bytes()),
            Form::Owned(text) => output.extend_from_slice(text.as_bytes()),
            Form::Number(number) => {
                // Writing to a vector cannot fail.
                write!(output, "{number}").unwrap_or_default();
            }
        }
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Plain(text) => f.write_str(text),
            Form::Owned(text) => f.write_str(text),
            Form::Number(number) => number.fmt(f),
        }
    }
}

/// Why a text cannot be a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuoteError {
    /// Line breaks, tabs, NUL and the like.
    #[error("it has the control character {character:?} at byte {at}")]
    Control {
        /// The character.
        character: char,
        /// Its place, from 0.
        at: usize,
    },
    /// Longer than [`MAX_WORD_BYTES`] once quoted.
    #[error("it is {bytes} bytes long when quoted, nginx reads {MAX_WORD_BYTES} at most")]
    TooLong {
        /// The length with quotes and escapes.
        bytes: usize,
    },
}

/// Quotes `text` for a directive that takes it literally.
///
/// # Errors
///
/// [`QuoteError`] for control characters and for texts that are too long.
pub fn quote(text: &str) -> Result<Word<'_>, QuoteError> {
    if is_plain(text) {
        return Ok(Word(Form::Plain(text)));
    }
    quoted(text, "$", "")
}

/// Quotes `text` for a directive that expands variables (`return`,
/// `add_header`, `proxy_set_header`, `root`, …), so that it is taken literally
/// all the same.
///
/// # Errors
///
/// As [`quote`].
pub fn quote_expanding(text: &str) -> Result<Word<'_>, QuoteError> {
    if is_plain(text) {
        return Ok(Word(Form::Plain(text)));
    }
    quoted(text, DOLLAR, "")
}

/// As [`quote_expanding`], for a text that may have line breaks and tabs: a body,
/// never what stands in the head of a message.
///
/// # Errors
///
/// As [`quote`], line breaks and tabs apart.
pub(crate) fn quote_lines(text: &str) -> Result<Word<'_>, QuoteError> {
    if is_plain(text) {
        return Ok(Word(Form::Plain(text)));
    }
    let mut word = String::from("\"");
    push_quoted(&mut word, text, DOLLAR, LINES)?;
    closed(word)
}

/// As [`quote_expanding`], followed by `suffix`, which is ours and stands as
/// nginx reads it between quotes: `${name}` for a variable, `\n` for a line break.
pub(crate) fn quote_expanding_before(
    text: &str,
    suffix: &'static str,
) -> Result<Word<'static>, QuoteError> {
    quoted(text, DOLLAR, suffix)
}

/// Whether nginx reads `text` as one word without quotes, or as itself wherever
/// it stands in one.
pub(crate) fn is_plain(text: impl AsRef<[u8]>) -> bool {
    let text = text.as_ref();
    !text.is_empty()
        && text.len() < MAX_WORD_BYTES
        && text.iter().all(|&byte| PLAIN[usize::from(byte)])
}

/// The bytes that mean themselves anywhere in a word.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let bytes = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/.-_:*[]";
    let mut index = 0;
    while index < bytes.len() {
        plain[bytes[index] as usize] = true;
        index += 1;
    }
    plain
};

/// A part of a word that nginx expands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'t> {
    /// A text, which stays as it is.
    Text(&'t str),
    /// The value of a variable, by its name without `$`.
    Variable(&'t str),
    /// The capture of a pattern, 1 to 9.
    Capture(u8),
}

/// Quotes `parts` as one word for a directive that expands variables.
pub(crate) fn quote_parts<'t>(
    parts: impl IntoIterator<Item = Part<'t>>,
) -> Result<Word<'static>, QuoteError> {
    let mut word = String::from("\"");
    for part in parts {
        match part {
            Part::Text(text) => push_quoted(&mut word, text, DOLLAR, &[])?,
            Part::Variable(name) => {
                word.push_str("${");
                word.push_str(name);
                word.push('}');
            }
            Part::Capture(number) => {
                word.push('$');
                word.push(char::from(b'0' + number));
            }
        }
    }
    closed(word)
}

fn quoted(text: &str, dollar: &str, suffix: &str) -> Result<Word<'static>, QuoteError> {
    let mut word = String::with_capacity(text.len() + suffix.len() + 8);
    word.push('"');
    push_quoted(&mut word, text, dollar, &[])?;
    word.push_str(suffix);
    closed(word)
}

/// Control characters that a body may have, and how nginx reads them.
const LINES: &[(char, &str)] = &[('\n', "\\n"), ('\t', "\\t")];

fn push_quoted(
    word: &mut String,
    text: &str,
    dollar: &str,
    allowed: &[(char, &str)],
) -> Result<(), QuoteError> {
    for (at, character) in text.char_indices() {
        match character {
            '"' => word.push_str("\\\""),
            '\\' => word.push_str("\\\\"),
            '$' => word.push_str(dollar),
            control if control.is_control() => {
                let escaped = allowed.iter().find(|(it, _)| *it == control);
                let (_, escaped) = escaped.ok_or(QuoteError::Control {
                    character: control,
                    at,
                })?;
                word.push_str(escaped);
            }
            other => word.push(other),
        }
    }
    Ok(())
}

/// The word that was begun with a quote.
fn closed(mut word: String) -> Result<Word<'static>, QuoteError> {
    word.push('"');
    if word.len() > MAX_WORD_BYTES {
        return Err(QuoteError::TooLong { bytes: word.len() });
    }
    Ok(Word(Form::Owned(word)))
}

#[cfg(test)]
mod tests {
    use nxmesh_core::syntax::parse;
    use proptest::prelude::*;

    use super::*;

    /// The words that nginx reads.
    fn read(source: &str) -> Vec<String> {
        let text = format!("name {source};");
        let config = parse(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let [directive] = config.directives() else {
            panic!("{text:?} is more than one directive");
        };
        let words = directive.arguments().iter();
        words.map(|word| word.value().to_owned()).collect()
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(text in "[^\\p{Cc}]{0,200}") {
            prop_assert_eq!(read(&format!("{} next", quote(&text).unwrap())), [text.as_str(), "next"]);
            let word = quote_expanding(&text).unwrap().to_string();
            let expanded: Vec<_> = read(&word).iter().map(|word| word.replace(DOLLAR, "$")).collect();
            prop_assert_eq!(expanded, [text.as_str()]);
            prop_assert!(!word.replace(DOLLAR, "").contains('$'));
        }

        #[test]
        fn control_characters_are_refused(before in "[^\\p{Cc}]{0,9}", control in "\\p{Cc}", after in ".{0,9}") {
            let text = format!("{before}{control}{after}");
            let at = before.len();
            let character = control.chars().next().unwrap();
            prop_assert_eq!(quote(&text), Err(QuoteError::Control { character, at }));
            prop_assert_eq!(quote_expanding(&text), Err(QuoteError::Control { character, at }));
        }
    }

    #[test]
    fn words_are_as_long_as_nginx_reads() {
        for text in [
            "a".repeat(MAX_WORD_BYTES - 1),
            " ".repeat(MAX_WORD_BYTES - 2),
        ] {
            let word = quote(&text).unwrap().to_string();
            assert_eq!(read(&format!("{word} next")), [text.as_str(), "next"]);
        }
        assert!(quote(&"a".repeat(MAX_WORD_BYTES)).is_err());
        let long = " ".repeat(MAX_WORD_BYTES - 1);
        assert_eq!(quote(&long), Err(QuoteError::TooLong { bytes: 4096 }));
        assert!(quote_expanding(&"$".repeat(256)).is_err());
    }

    #[test]
    fn the_empty_word_is_written() {
        assert_eq!(quote("").unwrap().to_string(), "\"\"");
    }

    #[test]
    fn a_suffix_stands_as_it_is() {
        let word = quote_expanding_before("https://a/$1", "${request_uri}").unwrap();
        assert_eq!(
            word.to_string(),
            r#""https://a/${nxmesh_dollar}1${request_uri}""#
        );
    }
}
