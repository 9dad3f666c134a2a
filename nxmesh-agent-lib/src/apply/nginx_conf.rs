//! The user's `nginx.conf`, read just far enough to lead it elsewhere.

use std::path::Path;

use nxmesh_core::syntax::{self, Event, Reader};

/// Copies `text` with the include of `entry` in its `http` block leading to
/// `instead`, and the pid file at `pid`. `None` if `entry` is not included there.
pub(super) fn lead_elsewhere(
    text: &str,
    folder: &Path,
    entry: &Path,
    instead: &str,
    pid: &Path,
) -> Option<String> {
    let (copy, found) = rewritten(text, pid, |directive| {
        includes(directive, folder, entry).then_some(instead)
    });
    found.then_some(copy)
}

/// Copies `text` with the pid file at `pid`.
pub(super) fn with_pid(text: &str, pid: &Path) -> String {
    rewritten(text, pid, |_| None).0
}

/// Whether a directive includes `entry`, as files in `folder` name it.
pub(super) fn includes(directive: &str, folder: &Path, entry: &Path) -> bool {
    let Ok(parsed) = syntax::parse(directive) else {
        return false;
    };
    parsed.directives().iter().any(|it| {
        let path = it.arguments().first().map(|path| folder.join(path.value()));
        it.name() == "include" && it.arguments().len() == 1 && path.as_deref() == Some(entry)
    })
}

/// Copies `text` with what is to stand `instead` of a directive of its `http`
/// block, and whether there was any. What cannot be read is copied as it is:
/// nginx says what is wrong with it.
fn rewritten<'a>(
    text: &str,
    pid: &Path,
    instead: impl Fn(&str) -> Option<&'a str>,
) -> (String, bool) {
    let mut copy = String::new();
    let (mut copied, mut found) = (0, false);
    let mut reader = Reader::new(text.as_bytes());
    let (mut begins, mut name, mut in_http) = (0, "", false);
    loop {
        let ends = match reader.next() {
            Ok(Event::Word {
                index: 0,
                start,
                end,
                ..
            }) => {
                (begins, name) = (start, text[start..end].trim_matches(['"', '\'']));
                continue;
            }
            Ok(Event::Open { .. }) => {
                in_http = in_http || (reader.depth() == 1 && name == "http");
                continue;
            }
            Ok(Event::Close { .. }) => {
                in_http = in_http && reader.depth() > 0;
                continue;
            }
            Ok(Event::End { at }) => at + 1,
            Ok(Event::Done) | Err(_) => break,
            Ok(_) => continue,
        };
        let replacement = match reader.depth() {
            0 if name == "pid" => format!("pid \"{}\";", pid.display()),
            1 if in_http => match instead(&text[begins..ends]) {
                Some(instead) => {
                    found = true;
                    instead.to_owned()
                }
                None => continue,
            },
            _ => continue,
        };
        copy.push_str(&text[copied..begins]);
        copy.push_str(&replacement);
        copied = ends;
    }
    copy.push_str(&text[copied..]);
    (copy, found)
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
