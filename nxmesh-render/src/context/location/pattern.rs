//! Patterns of texts.

/// The pattern of texts that begin with `path`; its capture is the rest.
pub(super) fn beginning_with(path: &str) -> String {
    format!("(?s)^{}(.*)$", escaped(path))
}

/// The pattern of `text` alone.
pub(super) fn exactly(text: &str) -> String {
    format!("^{}\\z", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_ascii_punctuation() || character == ' ' {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}
