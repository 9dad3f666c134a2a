//! Upstreams that snippets pass requests to.

use std::{borrow::Cow, ops::Range};

use crate::syntax::{Config, Directive, Quoting};

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

/// The names that directives of `text`, which was parsed to `config`, pass to, and
/// where they stand in it: the host of a URL without a port.
pub(crate) fn passed_to(text: &str, config: &Config<'_>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Vec<&[Directive<'_>]> = vec![config.directives()];
    while let Some(directives) = open.pop() {
        for directive in directives {
            open.push(directive.directives());
            if PASSES.contains(&directive.name()) {
                found.extend(name(text, directive));
            }
        }
    }
    found.sort_by_key(|range| range.start);
    found
}

fn name(text: &str, directive: &Directive<'_>) -> Option<Range<usize>> {
    let word = directive.arguments().first()?;
    if word.quoting() != Quoting::Bare {
        return None;
    }
    let raw = word.raw();
    // It is a part of the text.
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

/// `text` with other names where it passes to those that `called` knows.
pub(crate) fn renamed<'t, E>(
    text: &'t str,
    config: &Config<'_>,
    mut called: impl FnMut(&str) -> Result<Option<String>, E>,
) -> Result<Cow<'t, str>, E> {
    let mut renamed = String::new();
    let mut copied = 0;
    for range in passed_to(text, config) {
        if let Some(name) = called(&text[range.clone()])? {
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
            .map(|range| &text[range])
            .collect();
        assert_eq!(found, ["shop", "php", "other"]);
        let renamed = renamed(text, &config, |name| -> Result<_, ()> {
            Ok((name != "other").then(|| format!("up_{name}")))
        });
        let renamed = renamed.unwrap();
        assert!(
            renamed.starts_with("if ($a) { proxy_pass http://up_shop/v1/; }\nfastcgi_pass up_php;")
        );
        assert!(renamed.ends_with("proxy_pass http://other;"));
        assert!(renamed.contains("Host shop;\nproxy_pass http://shop:8080;"));
    }
}
