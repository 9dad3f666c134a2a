//! Paths: of locations, of files, and patterns that match paths.

use super::{fits_a_token, parsed_text};

parsed_text! {
    /// The path of a location, matched by nginx against the decoded request path.
    LocationPath,
    rule: "a location path starts with '/' and has no control characters, 1000 bytes at most",
    example: "/static/",
    parse: |text| {
        (text.starts_with('/') && text.len() <= 1000 && fits_a_token(text)).then(|| text.to_owned())
    },
}

parsed_text! {
    /// A PCRE pattern, compiled once here with the library nginx uses.
    ///
    /// Names of captures become nginx variables of every server, whatever
    /// their case, so those are refused that would take the place of a variable
    /// nginx or NxMesh sets.
    RegexPattern,
    rule: "a pattern is valid PCRE without control characters and without captures named like variables of nginx (args, limit_rate, arg_…, cookie_…, http_…, proxy_…, sent_…, upstream_…) or nxmesh…, 1000 bytes at most",
    example: r"\.(png|jpg)$",
    parse: |text| {
        if text.is_empty() || text.len() > 1000 || !fits_a_token(text) {
            return None;
        }
        let pattern = pcre2::bytes::RegexBuilder::new().build(text).ok()?;
        let reserved = pattern.capture_names().iter().flatten().any(|name| is_reserved_variable(name));
        (!reserved).then(|| text.to_owned())
    },
}

impl RegexPattern {
    /// How many captures it has.
    #[must_use]
    pub fn captures(&self) -> usize {
        let compiled = pcre2::bytes::RegexBuilder::new().build(self.as_str());
        compiled.map_or(0, |pattern| pattern.captures_len() - 1)
    }
}

/// Whether nginx would take a capture of this name, or a variable that is set,
/// for a variable that others read. It refuses its other variables itself
/// (`ngx_http_add_variable`), but takes names below these prefixes for new ones
/// that hide the old.
pub(crate) fn is_reserved_variable(name: &str) -> bool {
    const PREFIXES: [&str; 7] = [
        "nxmesh",
        "arg_",
        "cookie_",
        "http_",
        "proxy_",
        "sent_",
        "upstream_",
    ];
    let name = name.to_ascii_lowercase();
    matches!(&*name, "args" | "limit_rate")
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

parsed_text! {
    /// An absolute path of a file or folder on the agent's machine.
    FilePath,
    rule: "a file path is absolute, without '..' and control characters, 1000 bytes at most",
    example: "/srv/shop",
    parse: |text| {
        let climbs = text.split('/').any(|part| part == "..");
        (text.starts_with('/') && text.len() <= 1000 && !climbs && fits_a_token(text)).then(|| text.to_owned())
    },
}

parsed_text! {
    /// The name of a file that is served for a folder.
    IndexName,
    rule: "an index name is a file name without '/', '..' and control characters, 255 bytes at most",
    example: "index.html",
    parse: |text| {
        let plain = !text.is_empty() && text.len() <= 255 && !text.contains('/') && text != ".." && text != ".";
        (plain && fits_a_token(text)).then(|| text.to_owned())
    },
}
