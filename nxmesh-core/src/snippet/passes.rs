//! Upstreams that snippets pass requests to.

use std::{borrow::Cow, ops::Range};

use crate::syntax::{Block, Config, Directive, Quoting, Word};

/// The directives that pass requests on, to a server or an upstream.
const PASSES: [&str; 6] = [
    "proxy_pass",
    "grpc_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "memcached_pass",
];

/// What may stand before the name.
const SCHEMES: [&str; 6] = [
    "http://",
    "https://",
    "grpc://",
    "grpcs://",
    "uwsgi://",
    "suwsgi://",
];

/// The directives that give one of several values to a variable.
const MAPS: [&str; 3] = ["map", "split_clients", "geo"];

/// A name that requests may be passed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passed<'t> {
    /// Where it stands in the text.
    pub(crate) range: Range<usize>,
    /// The variable that has it as its value, with its `$`; else something is passed to it.
    pub(crate) variable: Option<&'t str>,
}

/// The names that directives of `text`, which was parsed to `config`, pass to: the host
/// of a URL without a port. Those too that are a value of a map, or of a variable that
/// `text` passes to.
pub(crate) fn passed_to<'t>(text: &'t str, config: &Config<'t>) -> Vec<Passed<'t>> {
    let mut found = Vec::new();
    let mut open: Vec<&[Directive<'t>]> = vec![config.directives()];
    let mut all = Vec::new();
    while let Some(directives) = open.pop() {
        for directive in directives {
            open.push(directive.directives());
            all.push(directive);
        }
    }
    let passes = |directive: &&&Directive<'_>| PASSES.contains(&directive.name());
    let passing: Vec<&Word<'_>> = all
        .iter()
        .filter(passes)
        .filter_map(|it| it.arguments().first())
        .collect();
    for directive in all {
        let arguments = directive.arguments();
        if PASSES.contains(&directive.name()) {
            let range = name(text, directive);
            found.extend(range.map(|range| Passed {
                range,
                variable: None,
            }));
        } else if MAPS.contains(&directive.name()) {
            let variable = arguments.last().map(Word::raw);
            let Some(Block::Values(entries)) = directive.block() else {
                continue;
            };
            for entry in entries {
                if let [_, value] = entry.words() {
                    let range = self::value(text, value);
                    found.extend(range.map(|range| Passed { range, variable }));
                }
            }
        } else if let ("set", [variable, value]) = (directive.name(), arguments) {
            let named = variable.raw();
            if passing
                .iter()
                .any(|word| passes_variable(word.raw(), named))
            {
                let variable = Some(named);
                let range = self::value(text, value);
                found.extend(range.map(|range| Passed { range, variable }));
            }
        }
    }
    found.sort_by_key(|passed| passed.range.start);
    found
}

/// Whether what is passed to is the host that `variable` holds.
fn passes_variable(word: &str, variable: &str) -> bool {
    let skipped = SCHEMES.iter().find_map(|scheme| word.strip_prefix(scheme));
    let rest = skipped.unwrap_or(word).strip_prefix(variable);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '$']))
}

/// The host of what a directive passes to.
fn name(text: &str, directive: &Directive<'_>) -> Option<Range<usize>> {
    let word = directive.arguments().first()?;
    let bare = word.quoting() == Quoting::Bare;
    bare.then(|| host(text, word.raw()))?
}

/// The host that a value of a variable is.
fn value(text: &str, word: &Word<'_>) -> Option<Range<usize>> {
    let raw = word.raw();
    let inner = match word.quoting() {
        Quoting::Bare => raw,
        _ => raw.get(1..raw.len().checked_sub(1)?)?,
    };
    host(text, inner)
}

/// The host of a URL, or a name; `raw` is a part of the text.
fn host(text: &str, raw: &str) -> Option<Range<usize>> {
    let start = (raw.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let skipped = SCHEMES.iter().find(|scheme| raw.starts_with(**scheme));
    let skipped = skipped.map_or(0, |scheme| scheme.len());
    let rest = &raw[skipped..];
    let end = rest.find('/').unwrap_or(rest.len());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let fits = end > 0 && rest[..end].chars().all(plain);
    let start = start + skipped;
    (fits && text.get(start..start + end) == Some(&rest[..end])).then(|| start..start + end)
}

/// `text` with other names where it passes to those that `called` knows, which is told
/// the name, and the variable that has it as a value.
pub(crate) fn renamed<'t, E>(
    text: &'t str,
    config: &Config<'t>,
    mut called: impl FnMut(&str, Option<&str>) -> Result<Option<String>, E>,
) -> Result<Cow<'t, str>, E> {
    let mut renamed = String::new();
    let mut copied = 0;
    for Passed { range, variable } in passed_to(text, config) {
        if let Some(name) = called(&text[range.clone()], variable)? {
            renamed.push_str(&text[copied..range.start]);
            renamed.push_str(&name);
            copied = range.end;
        }
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(text));
    }
    renamed.push_str(&text[copied..]);
    Ok(Cow::Owned(renamed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;

    #[test]
    fn names_are_found_where_something_is_passed_to_them() {
        let text = "if ($a) { proxy_pass http://shop/v1/; }\nfastcgi_pass php;\n\
                    proxy_set_header Host shop;\nproxy_pass http://shop:8080;\n\
                    grpc_pass \"grpc://shop\";\nproxy_pass http://$shop;\nproxy_pass http://other;";
        let config = parse(text).unwrap();
        let found: Vec<&str> = passed_to(text, &config)
            .into_iter()
            .map(|passed| &text[passed.range])
            .collect();
        assert_eq!(found, ["shop", "php", "other"]);
        let renamed = renamed(text, &config, |name, _| -> Result<_, ()> {
            Ok((name != "other").then(|| format!("up_{name}")))
        });
        let renamed = renamed.unwrap();
        assert!(
            renamed.starts_with("if ($a) { proxy_pass http://up_shop/v1/; }\nfastcgi_pass up_php;")
        );
        assert!(renamed.ends_with("proxy_pass http://other;"));
        assert!(renamed.contains("Host shop;\nproxy_pass http://shop:8080;"));
    }

    #[test]
    fn names_are_found_in_variables() {
        let text = "map $a $pool { default blue; '1' \"http://green/a\"; 2 10.0.0.1:80; }\n\
                    split_clients $b $v { 10% green; * blue; }\n\
                    set $x blue; set $color green; proxy_pass http://$x/;";
        let config = parse(text).unwrap();
        let found: Vec<_> = passed_to(text, &config)
            .into_iter()
            .map(|passed| (&text[passed.range], passed.variable))
            .collect();
        let (pool, v, x) = (Some("$pool"), Some("$v"), Some("$x"));
        assert_eq!(
            found,
            [
                ("blue", pool),
                ("green", pool),
                ("green", v),
                ("blue", v),
                ("blue", x)
            ]
        );
    }
}
