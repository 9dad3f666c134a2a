//! Names of things: resources, labels, servers, people.

use super::{fits_a_token, parsed_text};
use crate::model::value::RegexPattern;

fn is_dns_label_text(text: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    matches!(bytes.len(), 1..=63)
        && edge(bytes[0])
        && edge(bytes[bytes.len() - 1])
        && bytes
            .iter()
            .all(|&byte| edge(byte) || byte == b'-' || byte == b'.')
}

fn own_name(text: &str) -> Option<String> {
    is_dns_label_text(text).then(|| text.to_owned())
}

parsed_text! {
    /// The name of a resource, unique per kind and workspace.
    ResourceName,
    rule: "a name is 1 to 63 lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
    example: "shop-backend",
    parse: own_name,
}

parsed_text! {
    /// The name of a workspace.
    WorkspaceName,
    rule: "a workspace name is 1 to 63 lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
    example: "default",
    parse: own_name,
}

impl Default for WorkspaceName {
    fn default() -> Self {
        Self("default".into())
    }
}

parsed_text! {
    /// The name a person logs in with.
    UserName,
    rule: "a user name is 1 to 63 lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
    example: "admin",
    parse: own_name,
}

fn is_label_text(text: &str, extra: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let edge = |byte: &u8| byte.is_ascii_alphanumeric();
    bytes.len() <= 63
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes
            .iter()
            .all(|byte| edge(byte) || b"-_.".contains(byte) || extra.contains(byte))
}

parsed_text! {
    /// The key of a label.
    LabelKey,
    rule: "a label key is 1 to 63 letters, digits, '-', '_', '.' and '/', with a letter or digit at both ends",
    example: "env",
    parse: |text| is_label_text(text, b"/").then(|| text.to_owned()),
}

parsed_text! {
    /// The value of a label; may be empty.
    LabelValue,
    rule: "a label value is empty, or 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    example: "prod",
    parse: |text| (text.is_empty() || is_label_text(text, b"")).then(|| text.to_owned()),
}

parsed_text! {
    /// A name a virtual host answers to, in lower case.
    ///
    /// One of `shop.example.com`, `*.example.com`, `www.example.*`, `_` (no
    /// name at all, for catch-all hosts) or a PCRE pattern after `~`. Names
    /// outside ASCII are written in their `xn--` form, as nginx compares bytes
    /// (nginx manual, `server_name`).
    ServerName,
    rule: "a server name is a host name in ASCII (xn-- for others), with '*' only as the whole first or last label, '_' for none, or '~' and a PCRE pattern",
    example: "shop.example.com",
    parse: server_name,
}

fn server_name(text: &str) -> Option<String> {
    if let Some(pattern) = text.strip_prefix('~') {
        let fits = fits_a_token(text) && !pattern.is_empty();
        return (fits && RegexPattern::parse(pattern).is_ok()).then(|| text.to_owned());
    }
    if text == "_" {
        return Some(text.to_owned());
    }
    let name = text.to_ascii_lowercase();
    let rest = name
        .strip_prefix("*.")
        .or_else(|| name.strip_suffix(".*"))
        .unwrap_or(&name);
    let label = |label: &str| {
        let bytes = label.as_bytes();
        matches!(bytes.len(), 1..=63)
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-'
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
    };
    (name.len() <= 253 && rest.split('.').all(label)).then_some(name)
}

impl ServerName {
    /// Whether the name is a PCRE pattern.
    #[must_use]
    pub fn is_regex(&self) -> bool {
        self.0.starts_with('~')
    }

    /// A host name that this name matches, to ask a server with; `None` for
    /// patterns and for `_`.
    #[must_use]
    pub fn sample_host(&self) -> Option<String> {
        if self.is_regex() || &*self.0 == "_" {
            return None;
        }
        Some(self.0.replace('*', "nxmesh-probe"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_names_in_all_forms_are_accepted() {
        for (text, normal) in [
            ("Shop.Example.com", "shop.example.com"),
            ("*.example.com", "*.example.com"),
            ("www.example.*", "www.example.*"),
            ("_", "_"),
            ("localhost", "localhost"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            (r"~^www\d+\.example\.com$", r"~^www\d+\.example\.com$"),
        ] {
            assert_eq!(
                ServerName::parse(text).map(|name| name.to_string()),
                Ok(normal.to_owned())
            );
        }
    }

    #[test]
    fn server_names_that_would_change_meaning_are_refused() {
        for text in [
            "",
            "*",
            "a..b",
            "-a.example",
            "a b",
            "a;b",
            "a{b",
            "bücher.example",
            "www.*.com",
            "a\nb",
            "~",
            "~(",
            "\"a\"",
            "$host",
            ".example.com",
            "a.b.c.",
        ] {
            assert!(ServerName::parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
