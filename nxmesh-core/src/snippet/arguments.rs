//! What arguments must not say, whichever directive they belong to.

use super::error::{SnippetError, SnippetRule};
use crate::{
    model::value::is_reserved_variable,
    syntax::{Block, Directive, Word},
};

/// Checks the arguments of `directive`, and the entries of its block of values.
pub(super) fn check(directive: &Directive<'_>) -> Result<(), SnippetError> {
    let arguments = directive.arguments();
    let values = |index: usize| arguments.get(index).map(Word::value);
    match directive.name() {
        "access_log" => log(arguments, |target| {
            target == "off" || target.starts_with("syslog:")
        })?,
        "error_log" => log(arguments, |target| {
            target == "stderr" || target.starts_with("syslog:")
        })?,
        // These two are there to be set: whoever does hides nothing.
        "set" if matches!(values(0), Some("$args" | "$limit_rate")) => {}
        "set" | "auth_request_set" => variable(arguments.first())?,
        "map" | "split_clients" => variable(arguments.get(1))?,
        "geo" => variable(arguments.last())?,
        _ => {}
    }
    arguments.iter().try_for_each(word)?;
    if let Some(Block::Values(entries)) = directive.block() {
        for entry in entries {
            let words = entry.words();
            if let Some(include) = words.first().filter(|word| word.value() == "include") {
                return Err(refused(include, SnippetRule::IncludedValues));
            }
            words.iter().try_for_each(word)?;
        }
    }
    Ok(())
}

fn refused(word: &Word<'_>, rule: SnippetRule) -> SnippetError {
    SnippetError {
        position: word.position(),
        rule,
    }
}

fn log(arguments: &[Word<'_>], plain: impl Fn(&str) -> bool) -> Result<(), SnippetError> {
    match arguments.first() {
        Some(target) if !plain(target.value()) => Err(refused(target, SnippetRule::LogFile)),
        _ => Ok(()),
    }
}

fn variable(word: Option<&Word<'_>>) -> Result<(), SnippetError> {
    match word {
        Some(word)
            if word
                .value()
                .strip_prefix('$')
                .is_some_and(is_reserved_variable) =>
        {
            Err(refused(word, SnippetRule::ReservedVariable))
        }
        _ => Ok(()),
    }
}

fn word(word: &Word<'_>) -> Result<(), SnippetError> {
    let value = word.value();
    if names_our_own(value) {
        return Err(refused(word, SnippetRule::ReservedName));
    }
    if captures(value).any(is_reserved_variable) {
        return Err(refused(word, SnippetRule::ReservedCapture));
    }
    Ok(())
}

/// Whether `value` names something called `nxmesh_…` that is not a variable.
fn names_our_own(value: &str) -> bool {
    value.match_indices("nxmesh_").any(|(at, _)| {
        let before = &value[..at];
        let goes_on = before.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        !goes_on && !before.ends_with('$') && !before.ends_with("${")
    })
}

/// The names of captures in what may be a regular expression: `(?<name>`,
/// `(?P<name>` and `(?'name'` (pcre2pattern(3), "Named capture groups").
fn captures(value: &str) -> impl Iterator<Item = &str> {
    value.match_indices("(?").filter_map(|(at, _)| {
        let rest = &value[at + 2..];
        let rest = rest.strip_prefix('P').unwrap_or(rest);
        let (rest, end) = match rest.strip_prefix('<') {
            Some(rest) => (rest, '>'),
            None => (rest.strip_prefix('\'')?, '\''),
        };
        Some(rest.split(end).next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_found_by_name() {
        let found = |value| captures(value).collect::<Vec<_>>();
        assert_eq!(found(r"^/(?<a>x)(?P<b>y)(?'c'z)(w)$"), ["a", "b", "c"]);
        // Looking behind, and what is not closed, is no name that is reserved.
        assert_eq!(
            found(r"(?<=a)(?<!b)(?:c)(?i)(?<d"),
            ["=a)(?<!b)(?:c)(?i)(?<d", "!b)(?:c)(?i)(?<d", "d"]
        );
    }

    #[test]
    fn our_own_names_are_found_but_not_variables() {
        for value in [
            "nxmesh_x",
            "zone=nxmesh_x:1m",
            "http://nxmesh_up_1",
            "@nxmesh_x",
            "shared:nxmesh_tls:1m",
        ] {
            assert!(names_our_own(value), "{value}");
        }
        for value in [
            "$nxmesh_dollar",
            "a${nxmesh_dollar}b",
            "my_nxmesh_x",
            "nxmesh",
            "/nxmesh/x",
        ] {
            assert!(!names_our_own(value), "{value}");
        }
    }
}
