//! The user's `nginx.conf`, read just far enough to lead it elsewhere.

use std::{ops::Range, path::Path};

/// Copies `text` with the include of `entry` in its `http` block leading to
/// `instead`, and the pid file at `pid`. `None` if `entry` is not included there.
pub(super) fn lead_elsewhere(
    text: &str,
    folder: &Path,
    entry: &Path,
    instead: &str,
    pid: &Path,
) -> Option<String> {
    let (copy, found) = rewritten(text, pid, |words| {
        matches!(words, ["include", path] if folder.join(path) == entry).then_some(instead)
    });
    found.then_some(copy)
}

/// Copies `text` with the pid file at `pid`.
pub(super) fn with_pid(text: &str, pid: &Path) -> String {
    rewritten(text, pid, |_| None).0
}

/// Copies `text` with what is to stand `instead` of a directive of its `http`
/// block, and whether there was any.
fn rewritten<'a>(
    text: &str,
    pid: &Path,
    instead: impl Fn(&[&str]) -> Option<&'a str>,
) -> (String, bool) {
    let mut copy = String::new();
    let (mut copied, mut found) = (0, false);
    for directive in directives(text) {
        let words: Vec<&str> = directive.words.iter().map(String::as_str).collect();
        let replacement = match (&directive.blocks[..], &words[..]) {
            ([http], words) if http == "http" => match instead(words) {
                Some(instead) => instead.to_owned(),
                None => continue,
            },
            ([], ["pid", _]) => format!("pid \"{}\";", pid.display()),
            _ => continue,
        };
        found |= !directive.blocks.is_empty();
        copy.push_str(&text[copied..directive.span.start]);
        copy.push_str(&replacement);
        copied = directive.span.end;
    }
    copy.push_str(&text[copied..]);
    (copy, found)
}

/// A directive that ends with a semicolon.
struct Directive {
    /// The names of the blocks around it, outermost first.
    blocks: Vec<String>,
    words: Vec<String>,
    /// From its first word to its semicolon.
    span: Range<usize>,
}

fn directives(text: &str) -> Vec<Directive> {
    let mut found = Vec::new();
    let mut blocks: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if words.is_empty() && !character.is_whitespace() {
            start = at;
        }
        match character {
            _ if character.is_whitespace() => {}
            '#' => while characters.next_if(|(_, next)| *next != '\n').is_some() {},
            ';' => {
                found.push(Directive {
                    blocks: blocks.clone(),
                    words: std::mem::take(&mut words),
                    span: start..at + 1,
                });
            }
            '{' => blocks.push(
                std::mem::take(&mut words)
                    .into_iter()
                    .next()
                    .unwrap_or_default(),
            ),
            '}' => {
                words.clear();
                blocks.pop();
            }
            '"' | '\'' => {
                let mut word = String::new();
                while let Some((_, next)) = characters.next() {
                    match next {
                        '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
                        _ if next == character => break,
                        other => word.push(other),
                    }
                }
                words.push(word);
            }
            first => {
                let mut word = String::from(first);
                let mut in_variable = false;
                while let Some((_, next)) = characters.next_if(|(_, next)| {
                    in_variable
                        || !(next.is_whitespace() || matches!(next, ';' | '{'))
                        || (*next == '{' && word.ends_with('$'))
                }) {
                    in_variable = (in_variable && next != '}') || (next == '{');
                    word.push(next);
                }
                words.push(word);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = r#"user www-data; # pid /x;
pid /run/nginx.pid;
events { worker_connections 768; }
http {
    log_format main '$remote_addr; {"';
    map $uri $x { default "${uri}"; include "/srv/nxmesh/entry.conf"; }
    set $a ${b}c;
    # include /srv/nxmesh/entry.conf;
    include mime.types;
    include /srv/nxmesh/entry.conf;
    server { include /srv/nxmesh/entry.conf; }
}
"#;

    fn led(text: &str, entry: &str) -> Option<String> {
        lead_elsewhere(
            text,
            Path::new("/etc/nginx"),
            Path::new(entry),
            "include /staged;",
            Path::new("/check/pid"),
        )
    }

    #[test]
    fn the_include_in_the_http_block_and_the_pid_are_replaced() {
        let expected = CONF
            .replace("pid /run/nginx.pid;", "pid \"/check/pid\";")
            .replace(
                "types;\n    include /srv/nxmesh/entry.conf;",
                "types;\n    include /staged;",
            );
        assert_eq!(led(CONF, "/srv/nxmesh/entry.conf"), Some(expected));
    }

    #[test]
    fn relative_includes_count_from_the_folder_of_the_file() {
        let text = "http { include entry.conf; }";
        assert!(led(text, "/etc/nginx/entry.conf").is_some());
        assert_eq!(led(text, "/srv/entry.conf"), None);
    }

    #[test]
    fn an_include_elsewhere_does_not_count() {
        for text in [
            "",
            "include /e;",
            "http { }",
            "http { #include /e;\n}",
            "http { server { include /e; } }",
            "http { include /e",
            "stream { include /e; }",
            "http { add_header X \"include /e;\"; }",
        ] {
            assert_eq!(led(text, "/e"), None, "{text}");
        }
    }
}
