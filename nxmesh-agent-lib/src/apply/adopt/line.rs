//! The text of `nginx.conf` with and without the line.

use std::{ops::Range, path::Path};

use nxmesh_core::syntax::{Event, Reader, SyntaxError};

use crate::apply::nginx_conf::includes;

/// What became of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Edited {
    AsItWas,
    Changed(String),
    /// There is nowhere to put the line.
    NoHttp,
}

/// The line: quoted where a path needs it.
pub(super) fn text(entry: &Path) -> String {
    let path = entry.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if path.chars().all(is_plain) {
        return format!("include {path};");
    }
    let escaped = path.replace('\\', "\\\\").replace('"', "\\\"");
    format!("include \"{escaped}\";")
}

/// Puts the line at the end of the `http` block.
pub(super) fn add(conf: &str, folder: &Path, entry: &Path) -> Result<Edited, SyntaxError> {
    let found = Found::of(conf, folder, entry)?;
    let Some(http) = found.http else {
        return Ok(Edited::NoHttp);
    };
    if !found.includes.is_empty() {
        return Ok(Edited::AsItWas);
    }
    let line = text(entry);
    let begins = start_of_line(conf, http.close);
    let has_own_line = conf[begins..http.close].trim().is_empty() && begins > http.open;
    let (at, inserted) = if has_own_line {
        let end = if conf[..begins].ends_with("\r\n") {
            "\r\n"
        } else {
            "\n"
        };
        (begins, format!("{}{line}{end}", http.indentation(conf)))
    } else {
        (http.close, format!("{line} "))
    };
    Ok(Edited::Changed(format!(
        "{}{inserted}{}",
        &conf[..at],
        &conf[at..]
    )))
}

/// Takes the line away, and with it the line of the file if nothing else is on it.
pub(super) fn remove(conf: &str, folder: &Path, entry: &Path) -> Result<Edited, SyntaxError> {
    let found = Found::of(conf, folder, entry)?;
    if found.includes.is_empty() {
        return Ok(Edited::AsItWas);
    }
    let mut left = String::with_capacity(conf.len());
    let mut copied = 0;
    for include in found.includes {
        let begins = start_of_line(conf, include.start).max(copied);
        let rest = &conf[include.end..];
        let ends = rest
            .find('\n')
            .map_or(conf.len(), |at| include.end + at + 1);
        let is_alone = conf[begins..include.start].trim().is_empty()
            && conf[include.end..ends].trim().is_empty();
        let gone = match is_alone {
            true => begins..ends,
            false => include.start..include.end + usize::from(rest.starts_with(' ')),
        };
        left.push_str(&conf[copied..gone.start]);
        copied = gone.end;
    }
    left.push_str(&conf[copied..]);
    Ok(Edited::Changed(left))
}

fn start_of_line(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

struct Http {
    open: usize,
    close: usize,
    /// The first word in it.
    first: Option<usize>,
}

impl Http {
    /// As the first line in the block has it.
    fn indentation<'a>(&self, conf: &'a str) -> &'a str {
        let first = self.first.map(|at| &conf[start_of_line(conf, at)..at]);
        match first {
            Some(before) if before.trim().is_empty() => before,
            _ => "    ",
        }
    }
}

/// Where things are in a configuration.
struct Found {
    http: Option<Http>,
    /// The includes of the entry file in the `http` block, each with its `;`.
    includes: Vec<Range<usize>>,
}

impl Found {
    fn of(conf: &str, folder: &Path, entry: &Path) -> Result<Self, SyntaxError> {
        let mut reader = Reader::new(conf.as_bytes());
        let mut found = Self {
            http: None,
            includes: Vec::new(),
        };
        // The directive that is being read, and whether the outermost block is `http`.
        let (mut begins, mut in_http, mut name) = (0, false, "");
        loop {
            match reader.next()? {
                Event::Word {
                    index: 0,
                    start,
                    end,
                    ..
                } => {
                    (begins, name) = (start, &conf[start..end]);
                    if let Some(http) = &mut found.http
                        && in_http
                    {
                        http.first.get_or_insert(start);
                    }
                }
                Event::Open { at, .. } if reader.depth() == 1 => {
                    in_http = name == "http" && found.http.is_none();
                    if in_http {
                        found.http = Some(Http {
                            open: at,
                            close: at,
                            first: None,
                        });
                    }
                }
                Event::End { at } if in_http && reader.depth() == 1 => {
                    let directive = begins..at + 1;
                    if includes(&conf[directive.clone()], folder, entry) {
                        found.includes.push(directive);
                    }
                }
                Event::Close { at } if in_http && reader.depth() == 0 => {
                    if let Some(http) = &mut found.http {
                        http.close = at;
                    }
                    in_http = false;
                }
                Event::Done => return Ok(found),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "/var/lib/nxmesh-agent/entry.conf";

    fn added(conf: &str) -> String {
        match add(conf, Path::new("/etc/nginx"), Path::new(ENTRY)).unwrap() {
            Edited::Changed(text) => text,
            other => panic!("{conf}: {other:?}"),
        }
    }

    fn removed(conf: &str) -> Edited {
        remove(conf, Path::new("/etc/nginx"), Path::new(ENTRY)).unwrap()
    }

    #[test]
    fn what_is_added_is_taken_away_byte_for_byte() {
        let confs = [
            "events {}\nhttp {\n    gzip on;\n}\n",
            "events {}\r\nhttp {\r\n\tgzip on;\r\n}\r\n",
            "http { gzip on; }",
            "http {}",
            "http {\n}",
            "http { # include /var/lib/nxmesh-agent/entry.conf;\n}",
            "http {\n  server { listen 80; }\n  # } the end\n  }\n# http {}\nmail {}",
            "http {\n  map $a $b {\n    include x;\n  }\n}\nstream {\n}\n",
            "stream { server { listen 1; } }\n\nhttp\n{\n  log_format x '}{';\n}",
            "http { gzip on;\n  gzip_static on; }\n",
            "http {\n    # unicode: ä€\n    add_header X \"}\";\n\n}\n",
        ];
        for conf in confs {
            let adopted = added(conf);
            assert_eq!(
                removed(&adopted),
                Edited::Changed(conf.to_owned()),
                "{adopted}"
            );
            let again = add(&adopted, Path::new("/etc/nginx"), Path::new(ENTRY));
            assert_eq!(again.unwrap(), Edited::AsItWas, "{adopted}");
            assert_eq!(removed(conf), Edited::AsItWas);
        }
    }

    #[test]
    fn it_stands_at_the_end_of_http_as_its_neighbours_do() {
        let conf = "http {\n\tgzip on;\n\n\tserver {\n\t\tlisten 80;\n\t}\n}\n";
        let expected = format!(
            "http {{\n\tgzip on;\n\n\tserver {{\n\t\tlisten 80;\n\t}}\n\tinclude {ENTRY};\n}}\n"
        );
        assert_eq!(added(conf), expected);
    }

    #[test]
    fn an_include_elsewhere_does_not_count() {
        for conf in [
            format!("http {{ server {{ include {ENTRY}; }} }}"),
            format!("stream {{ include {ENTRY}; }} http {{ }}"),
            format!("http {{ add_header X \"include {ENTRY};\"; }}"),
        ] {
            assert_eq!(removed(&conf), Edited::AsItWas, "{conf}");
            assert_ne!(added(&conf), conf);
        }
    }

    #[test]
    fn a_line_by_hand_is_known_however_it_is_written() {
        for line in [
            "include '/var/lib/nxmesh-agent/entry.conf';",
            "include  ../../var/lib/nxmesh-agent/entry.conf ;",
        ] {
            let conf = format!("http {{\n  a b; {line} # ours\n}}");
            let entry = match line.contains("..") {
                true => Path::new("/etc/nginx/../../var/lib/nxmesh-agent/entry.conf"),
                false => Path::new(ENTRY),
            };
            assert_eq!(
                add(&conf, Path::new("/etc/nginx"), entry).unwrap(),
                Edited::AsItWas
            );
            let left = remove(&conf, Path::new("/etc/nginx"), entry).unwrap();
            assert_eq!(left, Edited::Changed("http {\n  a b; # ours\n}".to_owned()));
        }
    }

    #[test]
    fn a_path_is_one_word_of_nginx() {
        let line = text(Path::new("/srv/a b;c\\\"d/entry.conf"));
        let parsed = nxmesh_core::syntax::parse(&line).unwrap();
        assert_eq!(parsed.directives().len(), 1);
        assert_eq!(
            parsed.directives()[0].arguments()[0].value(),
            "/srv/a b;c\\\"d/entry.conf"
        );
    }

    #[test]
    fn no_http_and_no_configuration_are_told() {
        let add = |conf| add(conf, Path::new("/etc/nginx"), Path::new(ENTRY));
        assert_eq!(add("events {}").unwrap(), Edited::NoHttp);
        assert_eq!(add("stream { http { } }").unwrap(), Edited::NoHttp);
        assert!(add("http {").is_err());
    }
}
