//! A file of ours while it is written.

use std::fmt::{Display, Write as _};

use nxmesh_core::contract::renderer::NginxVersion;

use super::PlaceError;
use crate::structure::{self, Value, ValueKind};

/// Text of ours, and words in it that are not.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    values: Vec<Value>,
}

impl Text {
    pub(super) fn say(&mut self, text: &str) -> &mut Self {
        self.text += text;
        self
    }

    /// A word that was quoted.
    pub(super) fn word(&mut self, word: impl Display) -> &mut Self {
        let start = self.text.len();
        // Writing to a string cannot fail.
        write!(self.text, "{word}").unwrap_or_default();
        let end = self.text.len();
        let kind = ValueKind::Word;
        self.values.push(Value { start, end, kind });
        self
    }

    /// The file, if no word changes what it says.
    pub(super) fn finish(
        self,
        file: &'static str,
        nginx: NginxVersion,
    ) -> Result<Vec<u8>, PlaceError> {
        let text = self.text.into_bytes();
        structure::verify(&text, &self.values, nginx).map_err(|mismatch| {
            PlaceError::Structure {
                file,
                line: mismatch.position.line,
                column: mismatch.position.column,
                reason: mismatch.reason,
            }
        })?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_more_than_one_does_not_get_out() {
        let placed = |word: &str| {
            let mut text = Text::default();
            text.say("http {\n    include ").word(word).say(";\n}\n");
            text.finish("main.conf", NginxVersion::default())
        };
        assert!(placed("/a").is_ok());
        assert!(placed("\"/a b\"").is_ok());
        for word in ["/a b", "/a; evil on", "/a;", "", "}", "\"/a", "/a\\", "#a"] {
            match placed(word) {
                Err(PlaceError::Structure { file, .. }) => assert_eq!(file, "main.conf"),
                other => panic!("{word:?}: {other:?}"),
            }
        }
    }
}
