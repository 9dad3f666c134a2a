//! Printing: tables for people, documents for programs.

use std::io::{self, Write as _};

use anyhow::Context as _;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::options::Format;

/// A way to show things as rows.
pub(crate) struct Columns {
    pub(crate) heading: &'static [&'static str],
    /// The columns that only `wide` shows come last; this many are always shown.
    pub(crate) narrow: usize,
    pub(crate) row: fn(&Value) -> Vec<String>,
    /// `kind/name`
    pub(crate) name: fn(&Value) -> String,
}

/// Prints a list in `format`.
pub(crate) fn list(
    items: &[Value],
    columns: &Columns,
    format: Format,
    no_headers: bool,
) -> anyhow::Result<()> {
    match format {
        Format::Json => line(&serde_json::to_string_pretty(&json!({ "items": items }))?),
        Format::Jsonl => items.iter().try_for_each(|item| line(&item.to_string())),
        Format::Yaml => items
            .iter()
            .try_for_each(|item| line(&format!("---\n{}", yaml(item)))),
        Format::Name => items
            .iter()
            .try_for_each(|item| line(&(columns.name)(item))),
        Format::Table | Format::Wide => {
            let shown = if format == Format::Wide {
                columns.heading.len()
            } else {
                columns.narrow
            };
            let rows = items.iter().map(|item| (columns.row)(item));
            line(&table(columns.heading, rows, shown, no_headers))
        }
    }
}

/// Prints one thing in `format`; a program gets the thing itself, not a list.
pub(crate) fn one(
    item: &Value,
    columns: &Columns,
    format: Format,
    no_headers: bool,
) -> anyhow::Result<()> {
    match format {
        Format::Json => line(&serde_json::to_string_pretty(item)?),
        Format::Yaml => line(&yaml(item)),
        _ => list(std::slice::from_ref(item), columns, format, no_headers),
    }
}

fn table(
    heading: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    shown: usize,
    no_headers: bool,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !no_headers {
        table.set_header(heading.iter().take(shown).map(|title| title.to_uppercase()));
    }
    for row in rows {
        table.add_row(row.into_iter().take(shown));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// YAML without the newline at the end.
pub(crate) fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value)
        .unwrap_or_else(|_| value.to_string())
        .trim_end()
        .to_owned()
}

/// Prints a line of data. A reader that went away is no error of ours to shout about.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("could not write to standard output")
}

/// A text of somebody else, which cannot steer the terminal: control characters
/// are shown as escapes.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            // Those that turn the direction of writing hide what is said, too.
            let hidden = c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let escaped = hidden.then(|| c.escape_default());
            let plain = (!hidden).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// How long ago a moment (Unix milliseconds) is: `5m`.
pub(crate) fn age(unix_millis: u64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
    if unix_millis == 0 {
        return "never".to_owned();
    }
    let seconds = now.saturating_sub(unix_millis) / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nc"), r"a\u{1b}[2Jb\r\nc");
        assert_eq!(printable("\u{9b}31m\u{7f}"), r"\u{9b}31m\u{7f}");
        assert_eq!(printable("\u{202e}gpj.exe"), r"\u{202e}gpj.exe");
        assert_eq!(printable("[error] \"größe\" 'x'"), "[error] \"größe\" 'x'");
    }
}
