//! Hostile texts: refused with exit code 3 and a place, whatever they are.

#![expect(clippy::unwrap_used, reason = "that is how tests fail")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use nxmesh_core::testkit::hostile_text::{HostileText, TEXTS, Verdict};

const MEGABYTE: usize = 1_000_000;

fn nxmeshctl(command: &str, file: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nxmeshctl"))
        .args([command, "-f"])
        .arg(file)
        .args(more)
        .output()
        .unwrap()
}

/// What is wrong, unless the program says what is expected of it, and not too much.
fn judge(text: &HostileText, output: &Output) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    let start: String = said.chars().take(600).collect();
    let what = format!("{}: {:?}, {start}", text.name, output.status);
    let right = match text.verdict {
        Verdict::Accepted | Verdict::AcceptedIfSmall => output.status.code() == Some(0),
        Verdict::Refused { pointer, rule } => {
            let at = if pointer.is_empty() {
                ": ".to_owned()
            } else {
                format!(": {pointer}: ")
            };
            let mut lines = said.lines();
            output.status.code() == Some(3)
                && lines.any(|line| line.contains(&at) && line.contains(rule))
        }
    };
    (!right || said.len() > 200_000).then(|| format!("{what}\n"))
}

#[test]
fn hostile_texts_are_refused_with_a_place_and_honest_ones_taken() {
    let next = AtomicUsize::new(0);
    let folder = tempfile::tempdir().unwrap();
    let work = || {
        let mut wrong = String::new();
        while let Some(text) = TEXTS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let file = folder.path().join(text.name.replace(['/', ' '], "-"));
            fs::write(&file, text.of(MEGABYTE)).unwrap();
            wrong.extend(judge(text, &nxmeshctl("validate", &file, &[])));
        }
        wrong
    };
    let wrong: String = thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().unwrap());
        ended.collect()
    });
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn render_refuses_as_validate_does_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("text.yaml"), folder.path().join("out"));
    let out_argument = out.to_str().unwrap();
    for text in TEXTS {
        let Verdict::Refused { pointer: "", .. } = text.verdict else {
            continue;
        };
        fs::write(&file, text.of(MEGABYTE)).unwrap();
        let output = nxmeshctl("render", &file, &["--out", out_argument]);
        assert_eq!(judge(text, &output), None);
        assert!(!out.exists(), "{} left something", text.name);
    }
}

/// The first hundred are told, and how many more there are.
#[test]
fn of_many_problems_the_first_are_told_and_the_rest_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("many.yaml");
    fs::write(&file, "kind: X\n---\n".repeat(1_234)).unwrap();
    let output = nxmeshctl("validate", &file, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("more than 100 problems"), "{said}");
    assert!(said.contains("many.yaml#100: /kind: "), "{said}");
    assert!(!said.contains("many.yaml#101: /kind: "), "{said}");
    assert!(said.contains("there are 1134 more problems"), "{said}");
}
