//! Finding in nginx's output what the person at fault wants to read.

/// More is cut off: nginx repeats itself.
const LIMIT_BYTES: usize = 4096;

/// The lines that say why nginx refused, `[emerg]` first, without times and
/// process numbers, each once.
pub(super) fn of<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let mut found: Vec<(usize, String)> = Vec::new();
    for line in lines {
        if let Some((severity, said)) = severity(line)
            && !found.iter().any(|(_, earlier)| *earlier == said)
        {
            found.push((severity, said));
        }
    }
    found.sort_by_key(|(severity, _)| *severity);
    let mut text = String::new();
    for (_, said) in found {
        if text.len() + said.len() >= LIMIT_BYTES {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&said);
    }
    text
}

/// How bad a line is, from 0, and the line from its `[level]` on, without the
/// `123#123: ` of log lines.
fn severity(line: &str) -> Option<(usize, String)> {
    let (severity, level, rest) = ["[emerg]", "[alert]", "[crit]", "[error]", "[warn]"]
        .iter()
        .enumerate()
        .find_map(|(severity, level)| Some((severity, level, line.split_once(level)?.1)))?;
    let said = match rest.split_once(": ") {
        Some((process, said)) if is_process(process.trim_start()) => said,
        _ => rest.trim_start(),
    };
    Some((severity, format!("{level} {said}")))
}

fn is_process(text: &str) -> bool {
    text.contains('#')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emergencies_come_first_and_once() {
        let output = "\
            nginx: [warn] the \"user\" directive makes sense only as root in /etc/n.conf:1\n\
            2026/11/23 14:48:40 [emerg] 3169#3169: unknown directive \"foo\" in /etc/n.conf:2\n\
            nginx: configuration file /etc/n.conf test failed\n\
            2026/11/23 14:48:40 [emerg] 3169#3169: unknown directive \"foo\" in /etc/n.conf:2\n";
        assert_eq!(
            of(output.lines()),
            "[emerg] unknown directive \"foo\" in /etc/n.conf:2\n\
             [warn] the \"user\" directive makes sense only as root in /etc/n.conf:1"
        );
    }

    #[test]
    fn endless_output_is_cut() {
        let output: String = (0..10_000)
            .map(|number| format!("nginx: [warn] conflict {number}\n"))
            .collect();
        assert!(of(output.lines()).len() <= LIMIT_BYTES);
    }
}
