//! The fuzz targets for a moment: texts from their seeds, changed here and there
//! in the same way on every run. `cargo xtask fuzz` runs them for longer, and
//! lets what the code does lead the changes.

use std::{fs, path::Path};

#[expect(unreachable_pub, reason = "a crate of its own in `fuzz`")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// What is put into a text.
const PIECES: [&str; 40] = [
    "\"",
    "'",
    "\\",
    ";",
    "{",
    "}",
    "#",
    "$",
    "${",
    " ",
    "\n",
    "\t",
    "\r",
    "\0",
    "\u{85}",
    "é",
    "\u{1f980}",
    ")",
    "\\\"",
    "\\;",
    "{{",
    "}}",
    "{{#each headers}}",
    "{{/each}}",
    "{{value}}",
    "{{name}}",
    "{{path}}",
    "{{#if proxy}}",
    "{{else}}",
    "{{/if}}",
    "location / {",
    "map $a $b {",
    "include x;",
    "rewrite ^ /a?b;",
    "set $a $1;",
    ": ",
    "- ",
    "\n---\n",
    "spec",
    "x_by_lua_block {",
];

/// A row of numbers that is the same in every run (Marsaglia, "Xorshift RNGs").
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % bound.max(1)
    }
}

/// The files of a folder of this crate and below, by name.
fn seeds(folder: &Path) -> Vec<Vec<u8>> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    entries
        .iter()
        .flat_map(|path| {
            if path.is_dir() {
                seeds(path)
            } else {
                vec![fs::read(path).expect("read a seed")]
            }
        })
        .collect()
}

fn change(text: &mut Vec<u8>, seeds: &[Vec<u8>], numbers: &mut Numbers) {
    let at = numbers.below(text.len() + 1);
    let end = (at + numbers.below(12)).min(text.len());
    match numbers.below(6) {
        0 | 1 => {
            let piece = PIECES[numbers.below(PIECES.len())];
            text.splice(at..at, piece.bytes());
        }
        2 => {
            text.drain(at..end);
        }
        3 => {
            let again = text[at..end].to_vec();
            text.splice(at..at, again);
        }
        4 => {
            if let Some(byte) = text.get_mut(at) {
                *byte = u8::try_from(numbers.below(256)).expect("a byte");
            }
        }
        _ => {
            let other = &seeds[numbers.below(seeds.len())];
            let from = numbers.below(other.len());
            let piece = &other[from..(from + 40).min(other.len())];
            text.splice(at..end, piece.iter().copied());
        }
    }
}

fn run(target: fn(&[u8]), folder: &str, rounds: usize) {
    let seeds = seeds(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    let mut numbers = Numbers(0x6e67_696e_786d_6573);
    for seed in &seeds {
        target(seed);
    }
    for _ in 0..rounds {
        let mut text = seeds[numbers.below(seeds.len())].clone();
        for _ in 0..=numbers.below(5) {
            change(&mut text, &seeds, &mut numbers);
        }
        target(&text);
    }
}

#[test]
fn documents() {
    run(targets::document, "tests/golden", 1_500);
}

#[test]
fn imports() {
    run(targets::import, "tests/import", 1_500);
}

#[test]
fn quoting() {
    run(targets::quoting, "fuzz/seeds/quoting", 20_000);
}

#[test]
fn snippets() {
    run(targets::snippet, "fuzz/seeds/snippet", 10_000);
}

#[test]
fn syntax() {
    run(targets::syntax, "tests/golden", 3_000);
}

#[test]
fn templates() {
    run(targets::template, "templates", 500);
}
