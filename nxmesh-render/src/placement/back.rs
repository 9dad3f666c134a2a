//! What clients asked for, to stand in a parameter of another URL.
//!
//! nginx cannot encode a text. A map can replace as many characters as its patterns have
//! captures, so this many of each are encoded.

use std::fmt::Write as _;

use super::{PlaceError, text::Text};
use crate::token::quote;

/// The path and query that were asked for, with nothing in it that ends a parameter.
pub(crate) const URI: &str = "nxmesh_back_uri";

/// The port that was asked for, with its colon; nothing where that is the usual one.
pub(crate) const PORT: &str = "nxmesh_back_port";

/// What the names of both begin with.
pub(super) const NAMES: &str = "nxmesh_back_";

/// nginx has `$1` to `$9`.
const MOST: usize = 8;

/// What ends an URL where it stands in a header.
const END: &str = r"#\x00- \x7f";

/// The maps that make both.
pub(super) fn say(text: &mut Text) -> Result<(), PlaceError> {
    let steps = ["nxmesh_back_1", "nxmesh_back_2", "nxmesh_back_3"];
    // All of them or none: what is decoded once is the URL then, in one form of it.
    let mut rows = all("%", "%25", END, &format!("(?:[{END}]|$)"));
    rows.push((format!("^([^{END}]*)"), "$1".to_owned()));
    map(text, "request_uri", steps[0], &rows, "/")?;
    // The first ones, and then those that are left; more than that are left out with the
    // whole query.
    map(text, steps[0], steps[1], &first("&", "%26"), steps[0])?;
    let mut rows = all("&", "%26", "", "$");
    rows.push(("^([^?&]*)&".to_owned(), "/".to_owned()));
    rows.push((r"^([^?&]*)\?.*&".to_owned(), "$1".to_owned()));
    map(text, steps[1], steps[2], &rows, steps[1])?;
    map(text, steps[2], URI, &all(r"\+", "%2B", "", "$"), steps[2])?;
    let rows = [
        (":([0-9]{1,5})$".to_owned(), ":$1".to_owned()),
        // Who says no host came to this port.
        ("^$".to_owned(), ":$server_port".to_owned()),
    ];
    map(text, "http_host", PORT, &rows, "\"\"")
}

/// Rows for texts that have one to eight of a character and are replaced as a whole, up to
/// what `behind` matches. In between stands nothing of `without`.
fn all(character: &str, code: &str, without: &str, behind: &str) -> Vec<(String, String)> {
    let part = format!("([^{character}{without}]*)");
    (1..=MOST)
        .map(|count| {
            let parts = vec![&*part; count + 1];
            (
                format!("^{}{behind}", parts.join(character)),
                captures(count, code),
            )
        })
        .collect()
}

/// Rows for texts of which at most the first eight are replaced.
fn first(character: &str, code: &str) -> Vec<(String, String)> {
    let part = format!("([^{character}]*){character}");
    let rows = (1..=MOST).rev();
    rows.map(|count| {
        (
            format!("^{}(.*)$", part.repeat(count)),
            captures(count, code),
        )
    })
    .collect()
}

/// The captures with `code` between.
fn captures(count: usize, code: &str) -> String {
    let parts: Vec<String> = (1..=count + 1).map(|number| format!("${number}")).collect();
    parts.join(code)
}

/// A map from a variable to another; `otherwise` is a word, or the name of a variable.
fn map(
    text: &mut Text,
    source: &str,
    variable: &str,
    rows: &[(String, String)],
    otherwise: &str,
) -> Result<(), PlaceError> {
    let mut said = format!("map ${source} ${variable} {{\n");
    for (pattern, value) in rows {
        let key = format!("~{pattern}");
        let key = quote(&key).map_err(|reason| PlaceError::Text {
            what: "pattern",
            text: key.clone(),
            reason: reason.to_string(),
        })?;
        // Writing to a string cannot fail.
        writeln!(said, "    {key} \"{value}\";").unwrap_or_default();
    }
    let dollar = if otherwise.starts_with("nxmesh") {
        "$"
    } else {
        ""
    };
    writeln!(said, "    default {dollar}{otherwise};\n}}").unwrap_or_default();
    text.say(&said);
    Ok(())
}
