//! Finding in nginx's output what the person at fault wants to read.

use std::{fmt, os::unix::process::ExitStatusExt as _, process::ExitStatus};

use nix::sys::signal::Signal;

/// More is cut off: nginx repeats itself.
const LIMIT_BYTES: usize = 4096;
/// The end of what was said by something else than nginx.
const LAST_CHARS: usize = 1024;
/// Signals by which a program falls over what it reads.
const CRASHES: [Signal; 5] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGABRT,
];

/// What a failed `nginx -t` says against the configuration. `None` if it came to
/// no judgement: something else said why, as the loader of a missing library, or
/// it was killed, as for want of memory.
pub(super) fn judgement(status: ExitStatus, said: &str) -> Option<String> {
    let found = of(said.lines());
    match status.signal() {
        None => (!found.is_empty()).then_some(found),
        Some(signal) => CRASHES
            .iter()
            .any(|crash| *crash as i32 == signal)
            .then(|| format!("nginx -t: {}", ended(status, said))),
    }
}

/// How a program ended, and the end of what it said.
pub(super) fn ended(how: impl fmt::Display, said: &str) -> String {
    let said = said.trim();
    let cut = said.char_indices().rev().nth(LAST_CHARS - 1);
    let last = said.get(cut.map_or(0, |(at, _)| at)..).unwrap_or_default();
    match last {
        "" => format!("{how}, and nothing was said"),
        last => format!("{how}: {last}"),
    }
}

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

    /// Statuses as wait(2) has them: the exit code in the second byte, a signal in the first.
    #[test]
    fn what_is_no_word_of_nginx_is_no_judgement() {
        let loader = "nginx: error while loading shared libraries: libpcre.so.3: no such file";
        let judged = |status, said| judgement(ExitStatus::from_raw(status), said);
        assert_eq!(judged(127 << 8, loader), None);
        assert_eq!(judged(9, "nginx: [warn] it began\n"), None);
        let refused = judged(
            1 << 8,
            "nginx: [emerg] unknown directive \"x\" in /n.conf:1\n",
        );
        let refused = refused.unwrap();
        assert_eq!(refused, "[emerg] unknown directive \"x\" in /n.conf:1");
        let fell = judged(11, "").unwrap();
        assert!(fell.contains("SIGSEGV"), "{fell}");
    }

    #[test]
    fn the_end_of_what_was_said_is_kept() {
        let long = format!("{}é the end\n", "x".repeat(5000));
        let told = ended("exit status: 127", &long);
        assert!(told.starts_with("exit status: 127: x"), "{told}");
        assert!(told.ends_with("é the end"), "{told}");
        assert!(told.chars().count() < 1100, "{told}");
        assert_eq!(ended("7", " é"), "7: é");
        assert_eq!(ended("7", "\n"), "7, and nothing was said");
    }

    #[test]
    fn endless_output_is_cut() {
        let output: String = (0..10_000)
            .map(|number| format!("nginx: [warn] conflict {number}\n"))
            .collect();
        assert!(of(output.lines()).len() <= LIMIT_BYTES);
    }
}
