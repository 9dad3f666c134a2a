//! Rewrites that make nginx write beyond its memory.

use std::fmt;

use crate::{
    contract::renderer::NginxVersion,
    syntax::{Directive, Position},
};

/// A rewrite that some versions of nginx must not be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow {
    /// The word that overflows.
    pub position: Position,
    /// Why.
    pub flaw: RewriteFlaw,
}

/// A flaw of nginx's rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RewriteFlaw {
    /// CVE-2026-42945, up to 1.30.0: a `rewrite` whose replacement has arguments
    /// leaves a mark on the script of its server or location, and what a later
    /// `set`, `rewrite` or `if` of the same script makes of `$1` to `$9` is then
    /// escaped without room for it. The mark is left only if the script goes on:
    /// behind `last`, `break`, `redirect`, `permanent` and a replacement that is a
    /// URL it does not, and the `?` at the very end of a replacement is not kept
    /// (`src/http/ngx_http_script.c`, `ngx_http_script_start_args_code`;
    /// `src/http/modules/ngx_http_rewrite_module.c`, `ngx_http_rewrite`).
    Arguments,
    /// CVE-2026-9256, up to 1.30.1: a `rewrite` that redirects or has arguments,
    /// and uses two captures of which one is in the other. Room is made for each
    /// character of the path once.
    Overlap,
}

impl RewriteFlaw {
    /// The last version that has it.
    #[must_use]
    pub const fn last_version(self) -> NginxVersion {
        NginxVersion {
            major: 1,
            minor: 30,
            patch: match self {
                Self::Arguments => 0,
                Self::Overlap => 1,
            },
        }
    }
}

impl fmt::Display for RewriteFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shape, name) = match self {
            Self::Arguments => (
                "behind a rewrite with '?' that goes on, no capture ($1 to $9) is used",
                "CVE-2026-42945",
            ),
            Self::Overlap => (
                "a rewrite that redirects or has arguments does not use two captures of which one is in the other",
                "CVE-2026-9256",
            ),
        };
        let version = self.last_version();
        write!(
            f,
            "{shape}: nginx up to {version} writes beyond its memory ({name})"
        )
    }
}

/// Everything in `directives` that some version of nginx must not be given.
#[must_use]
pub fn overflows(directives: &[Directive<'_>]) -> Vec<Overflow> {
    let mut found = Vec::new();
    script(directives, &mut false, &mut found);
    found
}

/// Goes through one script. Blocks lie at most so deep that this may recurse.
fn script(directives: &[Directive<'_>], marked: &mut bool, found: &mut Vec<Overflow>) {
    for directive in directives {
        let read = match directive.name() {
            "set" | "rewrite" => directive.arguments().get(1..2).unwrap_or_default(),
            "if" => directive.arguments(),
            _ => &[],
        };
        if *marked {
            let capturing = read.iter().filter(|word| captures_in(word.value()) != 0);
            found.extend(capturing.map(|word| Overflow {
                position: word.position(),
                flaw: RewriteFlaw::Arguments,
            }));
        }
        if directive.name() == "rewrite" {
            rewrite(directive, marked, found);
        }
        // The blocks of `if` belong to the script around them, others have their own.
        if directive.name() == "if" {
            script(directive.directives(), marked, found);
        } else {
            script(directive.directives(), &mut false, found);
        }
    }
}

fn rewrite(directive: &Directive<'_>, marked: &mut bool, found: &mut Vec<Overflow>) {
    let [pattern, replacement, flags @ ..] = directive.arguments() else {
        return;
    };
    let text = replacement.value();
    let is_url = ["http://", "https://", "$scheme"]
        .iter()
        .any(|start| text.starts_with(start));
    let flag = flags.first().map(|flag| flag.value());
    let redirects = is_url || matches!(flag, Some("redirect" | "permanent"));
    let has_arguments = text.strip_suffix('?').unwrap_or(text).contains('?');
    if (redirects || has_arguments) && overlap(pattern.value(), captures_in(text)) {
        found.push(Overflow {
            position: replacement.position(),
            flaw: RewriteFlaw::Overlap,
        });
    }
    *marked |= has_arguments && !is_url && flag.is_none();
}

/// Which of `$1` to `$9` are in `value`, a bit each.
fn captures_in(value: &str) -> u16 {
    let digit = |behind: &str| {
        let name = behind.strip_prefix('{').unwrap_or(behind);
        name.chars().next()?.to_digit(10).filter(|digit| *digit > 0)
    };
    value
        .split('$')
        .skip(1)
        .filter_map(digit)
        .fold(0, |bits, digit| bits | 1 << digit)
}

/// Whether two of the captures `used` of `pattern` may have the same character
/// in them: one group is in another, or looks around (pcre2pattern(3)).
fn overlap(pattern: &str, used: u16) -> bool {
    /// A group that is open: whether it captures, and looks around.
    struct Group {
        number: Option<u32>,
        looks: bool,
    }
    let mut open: Vec<Group> = Vec::new();
    let mut count = 0;
    let is_used = |number: u32| number < 10 && used & 1 << number != 0;
    let others = |number: u32| used & !(1 << number.min(15)) != 0;
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => {
                rest.next();
            }
            '[' => class(&mut rest),
            '(' => {
                let kind = rest.as_str();
                // Numbers begin anew in each branch: nothing is known of them.
                if kind.starts_with("?|") && used.count_ones() > 1 {
                    return true;
                }
                let looks = ["?=", "?!", "?<=", "?<!"]
                    .iter()
                    .any(|start| kind.starts_with(start));
                let named = ["?<", "?P<", "?'"]
                    .iter()
                    .any(|start| kind.starts_with(start));
                let captures = !kind.starts_with(['?', '*']) || (named && !looks);
                let number = captures.then(|| {
                    count += 1;
                    count
                });
                if let Some(number) = number.filter(|number| is_used(*number)) {
                    let around = open.iter();
                    let within = around.filter_map(|group| group.number).any(is_used);
                    let looks = open.iter().any(|group| group.looks);
                    if within || (looks && others(number)) {
                        return true;
                    }
                }
                open.push(Group { number, looks });
            }
            ')' => {
                open.pop();
            }
            _ => {}
        }
    }
    false
}

/// Goes behind a class of characters, in which `]` comes first or ends it.
fn class(rest: &mut std::str::Chars<'_>) {
    let inner = rest.as_str();
    let inner = inner.strip_prefix('^').unwrap_or(inner);
    *rest = inner.strip_prefix(']').unwrap_or(inner).chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => {
                rest.next();
            }
            ']' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_in_groups_overlap() {
        for (pattern, replacement) in [
            ("^/((.*))$", "$1$2"),
            (r"^/v/(([a-z]+)[a-z]*)$", "/o/$1-${2}"),
            ("(?<a>(?<b>.))", "$2$1"),
            ("(a(?:b(c)))", "$1$2"),
            ("(a)(b(c))", "$2$3"),
            ("(?=(.*))(.*)", "$1$2"),
            ("(?|(a)|(b))(c)", "$1$2"),
            (r"[(](a(b))", "$1$2"),
            (r"[^])](a(b))", "$1$2"),
        ] {
            assert!(overlap(pattern, captures_in(replacement)), "{pattern}");
        }
        for (pattern, replacement) in [
            ("^/((.*))$", "$1"),
            ("^/((.*))$", "$1$1"),
            ("^/(.*)/(.*)$", "$1$2"),
            ("^/(a(?:b))(c)$", "$1$2"),
            (r"(a\(b)(c)", "$1$2"),
            (r"([(])(c)", "$1$2"),
            ("(a)(b(c))", "$1$3"),
            ("(?=(.*))", "$1"),
            ("(a(b))", "$10"),
        ] {
            assert!(!overlap(pattern, captures_in(replacement)), "{pattern}");
        }
    }
}
