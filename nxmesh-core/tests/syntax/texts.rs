//! Texts that are rich in what nginx looks for.

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};

/// Pieces of words, and what ends them.
const PIECES: [&str; 34] = [
    "a",
    "bc",
    "\"",
    "\"",
    "'",
    "'",
    "\\",
    "\\",
    "\\\"",
    "\\'",
    "\\n",
    "\\x",
    "\\;",
    "\\ ",
    ";",
    ";",
    "; ",
    " ",
    " ",
    "\n",
    "\t",
    "\r",
    "#",
    "$",
    "${",
    "${a}",
    "{",
    "}",
    ")",
    "\u{0}",
    "\u{b}",
    "é",
    "\u{1f980}",
    "=",
];

/// Any row of pieces.
pub(crate) fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24).prop_map(|parts| parts.concat())
}

/// What stands between two words.
fn gap() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        " ",
        " ",
        " ",
        "\t",
        "\n",
        "\r\n",
        "  ",
        " # it's; }\n",
        "\n#\n",
    ])
}

/// A text that nginx reads as `word`, which is plain.
fn spelled(word: &'static str) -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "\"", "'"]).prop_map(move |quote| format!("{quote}{word}{quote}"))
}

/// Directives of a location, as text.
fn directives(depth: u32) -> BoxedStrategy<String> {
    let word = soup_word();
    let simple = (spelled("return"), gap(), gap(), word.clone())
        .prop_map(|(name, one, two, word)| format!("{name}{one}200{two}{word};"));
    let types = (
        spelled("types"),
        gap(),
        prop::collection::vec((word.clone(), gap(), word), 0..3),
    )
        .prop_map(|(name, gap, entries)| {
            let entries: String = entries
                .into_iter()
                .map(|(one, between, two)| format!("{one}{between}{two};\n"))
                .collect();
            format!("{name}{gap}{{{entries}}}")
        });
    if depth == 0 {
        return prop_oneof![simple, types].boxed();
    }
    let inner = prop::collection::vec(directives(depth - 1), 0..3).prop_map(|all| all.concat());
    let block = (
        spelled("location"),
        gap(),
        0..1_000_000_000_u32,
        gap(),
        inner,
    )
        .prop_map(|(name, one, number, two, inner)| {
            format!("{name}{one}/{number}{two}{{{inner}}}\n")
        });
    prop_oneof![simple, types, block].boxed()
}

/// One word of any kind that does not look like a variable.
fn soup_word() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-z/.}#\"'é]{0,3}\\PC{0,1}"
            .prop_map(|text| format!("x{}", text.replace([';', ' ', '{', '\\', '$'], ""))),
        "[ -~]{0,12}".prop_map(|text| format!("\"{}\"", text.replace(['\\', '"', '$'], "\\\""))),
        "[ -~\n]{0,12}".prop_map(|text| format!("'{}'", text.replace(['\\', '\'', '$'], "\\'"))),
    ]
    .boxed()
}

/// Locations that nginx takes, before somebody mistyped in them.
pub(crate) fn locations() -> impl Strategy<Value = String> {
    prop::collection::vec(directives(3), 0..4).prop_map(|all| all.concat())
}

/// A text with one character taken away or one piece put in.
pub(crate) fn mistyped(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec!["{", "}", ";", "\"", "'", "\\", "#", " ", "\n", ")"]);
    (text, any::<prop::sample::Index>(), prop::option::of(piece)).prop_map(
        |(text, index, piece)| {
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            if ends.is_empty() {
                return text;
            }
            let at = ends[index.index(ends.len())];
            let rest = &text[at..];
            let rest = if piece.is_some() {
                rest
            } else {
                &rest[rest.chars().next().map_or(0, char::len_utf8)..]
            };
            format!("{}{}{rest}", &text[..at], piece.unwrap_or_default())
        },
    )
}

/// So many values of a strategy, the same in every run.
pub(crate) fn sample<T: std::fmt::Debug>(
    count: usize,
    strategy: impl Strategy<Value = T>,
) -> Vec<T> {
    let rng = proptest::test_runner::TestRng::deterministic_rng(
        proptest::test_runner::RngAlgorithm::ChaCha,
    );
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).expect("a value").current())
        .collect()
}
