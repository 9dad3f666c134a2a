//! What is looked at in the source of a template itself.

use std::borrow::Cow;

/// The longest template, in bytes. The parser takes some kilobytes of memory for each.
const MAX_BYTES: usize = 16 << 10;
/// Blocks within blocks; the parser recurses, so their number is bounded.
const MAX_DEPTH: usize = 32;

/// Line, column and reason.
pub(super) type Fault = (usize, usize, String);

/// Checks what the parser would take, or would not survive. Tells the number of tags.
pub(super) fn check(source: &str) -> Result<usize, Fault> {
    if source.len() > MAX_BYTES {
        return Err((1, 1, format!("a template is {MAX_BYTES} bytes at most")));
    }
    if source.trim().is_empty() {
        return Err((1, 1, "the template is empty".to_owned()));
    }
    let mut depth = 0_usize;
    let mut tags = 0;
    let mut from = 0;
    while let Some(start) = source[from..].find("{{").map(|found| from + found) {
        let tag = &source[start + 2..];
        let end = tag.find("}}").unwrap_or(tag.len());
        let inner = tag[..end].trim_start_matches('~').trim_start();
        let fault = |reason: String| {
            let line = source[..start].matches('\n').count() + 1;
            let column = start - source[..start].rfind('\n').map_or(0, |at| at + 1) + 1;
            Err((line, column, reason))
        };
        if inner.starts_with(['{', '&']) {
            return fault("text is always quoted; write {{name}} with two braces".to_owned());
        }
        if !inner.starts_with('!') && inner.contains(['(', '[', '{', '"', '\'']) {
            return fault("a tag holds names only".to_owned());
        }
        match inner.as_bytes().first() {
            Some(b'#') => depth += 1,
            Some(b'/') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return fault(format!("blocks lie more than {MAX_DEPTH} deep"));
        }
        tags += 1;
        from = start + 2 + end;
    }
    Ok(tags)
}

/// Moves every line that is not empty to the right.
pub(super) fn indented<'s>(source: &'s str, indent: &str) -> Cow<'s, str> {
    if indent.is_empty() {
        return Cow::Borrowed(source);
    }
    let lines = source.split_inclusive('\n').map(|line| {
        if line.trim().is_empty() {
            line.to_owned()
        } else {
            format!("{indent}{line}")
        }
    });
    Cow::Owned(lines.collect())
}

/// The white space before a tag that stands on its line alone; empty for others.
pub(super) fn indent_of_lone_tag(source: &str, line: usize) -> &str {
    let line = source.lines().nth(line - 1).unwrap_or_default();
    let tag = line.trim();
    let alone = tag.starts_with("{{") && tag.find("}}") == Some(tag.len() - 2);
    if alone {
        &line[..line.len() - line.trim_start().len()]
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_would_write_unquoted_text_are_refused() {
        for source in ["a\n  {{{ x }}}", "a\n  {{& x}}", "a\n  {{~{x}~}}"] {
            let (line, column, reason) = check(source).unwrap_err();
            assert_eq!((line, column), (2, 3), "{source:?}");
            assert!(reason.contains("quoted"), "{reason}");
        }
    }

    #[test]
    fn templates_the_parser_would_not_survive_are_refused() {
        for source in [
            "{{#if a}}".repeat(33),
            format!("{{{{a {}}}}}", "(".repeat(100_000)),
            "x".repeat(MAX_BYTES + 1),
            " \n".to_owned(),
        ] {
            assert!(check(&source).is_err());
        }
        assert_eq!(check(&"{{#if a}}{{/if}}".repeat(100)), Ok(200));
    }

    #[test]
    fn only_lone_tags_have_an_indent() {
        let source = "a\n    {{> b}}\n  c {{> b}}\n\t{{> b}} {{> c}}\n";
        assert_eq!(indent_of_lone_tag(source, 2), "    ");
        assert_eq!(indent_of_lone_tag(source, 3), "");
        assert_eq!(indent_of_lone_tag(source, 4), "");
        assert_eq!(indented("a\n\n b\n", "  "), "  a\n\n   b\n");
    }
}
