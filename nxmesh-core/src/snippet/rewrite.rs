//! CVE-2026-42945: rewrites that make nginx write beyond its memory.

use crate::syntax::{Directive, Position};

/// The first capture that nginx 0.6.27 to 1.30.0 would copy into too small a
/// piece of memory.
///
/// A `rewrite` whose replacement has arguments leaves a mark on the script of
/// its server or location, and what a later `set`, `rewrite` or `if` of the same
/// script makes of `$1` to `$9` is then escaped without room for it. The mark is
/// left only if the script goes on: behind `last`, `break`, `redirect`,
/// `permanent` and a replacement that is a URL it does not, and the `?` at the
/// very end of a replacement is not kept (`src/http/ngx_http_script.c`,
/// `ngx_http_script_start_args_code`; `src/http/modules/ngx_http_rewrite_module.c`,
/// `ngx_http_rewrite`).
#[must_use]
pub fn overflowing_capture(directives: &[Directive<'_>]) -> Option<Position> {
    script(directives, &mut false)
}

/// Goes through one script. Blocks lie at most so deep that this may recurse.
fn script(directives: &[Directive<'_>], marked: &mut bool) -> Option<Position> {
    for directive in directives {
        let read = match directive.name() {
            "set" | "rewrite" => directive.arguments().get(1..2).unwrap_or_default(),
            "if" => directive.arguments(),
            _ => &[],
        };
        if *marked && let Some(word) = read.iter().find(|word| has_capture(word.value())) {
            return Some(word.position());
        }
        *marked |= directive.name() == "rewrite" && leaves_mark(directive);
        // The blocks of `if` belong to the script around them, others have their own.
        let within = if directive.name() == "if" {
            script(directive.directives(), marked)
        } else {
            script(directive.directives(), &mut false)
        };
        if within.is_some() {
            return within;
        }
    }
    None
}

fn leaves_mark(rewrite: &Directive<'_>) -> bool {
    let [_, replacement] = rewrite.arguments() else {
        return false;
    };
    let replacement = replacement.value();
    let redirects = ["http://", "https://", "$scheme"]
        .iter()
        .any(|start| replacement.starts_with(start));
    let kept = replacement.strip_suffix('?').unwrap_or(replacement);
    !redirects && kept.contains('?')
}

fn has_capture(value: &str) -> bool {
    value.split('$').skip(1).any(|behind| {
        let name = behind.strip_prefix('{').unwrap_or(behind);
        name.starts_with(|first: char| matches!(first, '1'..='9'))
    })
}
