//! Parts of requests, and of what is written down about them.

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{ValueError, fits_a_token, parsed_text};

parsed_text! {
    /// The method of a request (RFC 9110, section 9), in capitals.
    Method,
    rule: "a method is 1 to 20 capital letters",
    example: "PUT",
    parse: |text| {
        let plain = matches!(text.len(), 1..=20) && text.bytes().all(|byte| byte.is_ascii_uppercase());
        plain.then(|| text.to_owned())
    },
}

parsed_text! {
    /// The name of a cookie or a parameter that nginx has a variable for
    /// (nginx manual, "Embedded Variables": `$cookie_name`, `$arg_name`).
    VariableName,
    rule: "a name nginx can look up is 1 to 64 letters, digits and '_'",
    example: "session",
    parse: |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (matches!(text.len(), 1..=64) && text.bytes().all(plain)).then(|| text.to_owned())
    },
}

parsed_text! {
    /// The name of a header that nginx has a variable for, `$http_name`.
    HeaderVariable,
    rule: "a header nginx can look up has a name of 1 to 64 letters, digits and '-'",
    example: "X-User",
    parse: |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let fits = matches!(text.len(), 1..=64) && text.bytes().all(plain);
        // Those that frame a message are nobody's but nginx's.
        (fits && super::HeaderName::parse(text).is_ok()).then(|| text.to_owned())
    },
}

impl HeaderVariable {
    /// What the name of nginx's variable ends in: `x_user`.
    #[must_use]
    pub fn variable(&self) -> String {
        self.as_str().to_ascii_lowercase().replace('-', "_")
    }
}

parsed_text! {
    /// The target of a request: a path, and a query if it has one.
    RequestTarget,
    rule: "a request target starts with one '/' and is printable ASCII without spaces, 1000 bytes at most",
    example: "/auth/check",
    parse: |text| {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let path = text.starts_with('/') && !text.starts_with("//");
        (path && printable && text.len() <= 1000 && fits_a_token(text)).then(|| text.to_owned())
    },
}

parsed_text! {
    /// An origin, `*` for any, or one with `*` as its first label.
    CorsOrigin,
    rule: "an origin is *, or http:// or https:// and a host in lower case, with a port if it is not the usual one, and '*' as the whole first label at most",
    example: "https://app.example.com",
    parse: |text| {
        if text == "*" {
            return Some(text.to_owned());
        }
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
        let host = host.strip_prefix("*.").unwrap_or(host);
        let label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            matches!(label.len(), 1..=63) && label.bytes().all(plain)
        };
        let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|it| it.to_string() == port && it > 0));
        (text.len() <= 250 && host.split('.').all(label) && port_fits).then(|| text.to_owned())
    },
}

parsed_text! {
    /// The name of somebody who shows a password or a key.
    ClientName,
    rule: "a client's name is 1 to 64 letters, digits and any of -_.@, with a letter or digit first",
    example: "anna",
    parse: |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        (first && text.len() <= 64 && text.bytes().all(plain)).then(|| text.to_owned())
    },
}

parsed_text! {
    /// What browsers tell people who are asked for a password.
    Realm,
    rule: "a realm is 1 to 100 printable ASCII characters without quotes and backslashes, and not off",
    example: "Staff only",
    // nginx takes the word off for a switch, in quotes too.
    parse: |text| {
        let plain = |byte: u8| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte);
        let fits = matches!(text.len(), 1..=100) && text.bytes().all(plain) && text != "off";
        fits.then(|| text.to_owned())
    },
}

/// A status or a class of them: `404` or `2xx`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct LogStatus(Box<str>);

impl LogStatus {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for LogStatus {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bytes = text.as_bytes();
        let fits = bytes.len() == 3
            && (b'1'..=b'5').contains(&bytes[0])
            && (&bytes[1..] == b"xx" || bytes[1..].iter().all(u8::is_ascii_digit));
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(ValueError {
                rule: "a status to leave out is three digits, or one and xx for a class",
                example: "2xx",
            })
        }
    }
}

impl<'de> Deserialize<'de> for LogStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;
        impl de::Visitor<'_> for NumberOrText {
            type Value = LogStatus;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a status or a class of them")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<LogStatus, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<LogStatus, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<LogStatus, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
}

parsed_text! {
    /// Where a syslog server listens: `host:port`, or a unix socket.
    SyslogAddress,
    rule: "a syslog server is host:port, an IPv6 address in brackets with :port, or unix: and an absolute path, without commas",
    example: "127.0.0.1:514",
    parse: |text| {
        let address = super::UpstreamAddress::parse(text).ok()?;
        (!text.contains(',')).then(|| address.to_string())
    },
}

/// The variables of nginx that a log line may have (nginx manual, "Alphabetical
/// index of variables").
const LOG_VARIABLES: [&str; 40] = [
    "args",
    "binary_remote_addr",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_requests",
    "content_length",
    "content_type",
    "host",
    "hostname",
    "https",
    "msec",
    "nginx_version",
    "pid",
    "pipe",
    "proxy_protocol_addr",
    "proxy_protocol_port",
    "query_string",
    "realip_remote_addr",
    "remote_addr",
    "remote_port",
    "remote_user",
    "request",
    "request_id",
    "request_length",
    "request_method",
    "request_time",
    "request_uri",
    "scheme",
    "server_addr",
    "server_name",
    "server_port",
    "server_protocol",
    "ssl_cipher",
    "ssl_protocol",
    "ssl_server_name",
    "status",
    "time_iso8601",
    "time_local",
    "uri",
];

/// Variables named after what the request or the response has.
const LOG_PREFIXES: [&str; 6] = [
    "http_",
    "sent_http_",
    "upstream_http_",
    "cookie_",
    "arg_",
    "upstream_",
];

parsed_text! {
    /// How a line of a log looks: text with `{name}` for variables of nginx, and `{{`
    /// and `}}` for braces.
    LogFormat,
    rule: "a log format is text without control characters, with {name} for a variable of nginx that says something about the request, {{ and }} for braces, and no others",
    example: "{remote_addr} \"{request}\" {status} {request_time}",
    parse: |text| {
        let fits = !text.is_empty() && text.len() <= 2000 && fits_a_token(text);
        (fits && log_parts(text).is_some()).then(|| text.to_owned())
    },
}

/// A part of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPart<'a> {
    /// This text.
    Text(&'a str),
    /// The value of the variable with this name, without `$`.
    Variable(&'a str),
}

impl LogFormat {
    /// Its parts in order.
    #[must_use]
    pub fn parts(&self) -> Vec<LogPart<'_>> {
        log_parts(self.as_str()).unwrap_or_default()
    }
}

fn log_parts(text: &str) -> Option<Vec<LogPart<'_>>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(open);
        if !before.is_empty() {
            parts.push(LogPart::Text(before));
        }
        if from.starts_with("{{") || from.starts_with("}}") {
            parts.push(LogPart::Text(&from[..1]));
            rest = &from[2..];
            continue;
        }
        let (name, after) = from.strip_prefix('{')?.split_once('}')?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let prefixed = LOG_PREFIXES
            .iter()
            .any(|prefix| name.strip_prefix(prefix).is_some_and(|it| !it.is_empty()));
        let known = LOG_VARIABLES.contains(&name) || prefixed;
        if !known || name.len() > 80 || !name.bytes().all(plain) {
            return None;
        }
        parts.push(LogPart::Variable(name));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(LogPart::Text(rest));
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_format_is_text_and_known_variables() {
        let format = LogFormat::parse("{remote_addr} $5 \"{http_user_agent}\"").unwrap();
        let parts = format.parts();
        let expected = [
            LogPart::Variable("remote_addr"),
            LogPart::Text(" $5 \""),
            LogPart::Variable("http_user_agent"),
            LogPart::Text("\""),
        ];
        assert_eq!(parts, expected);
        let format = LogFormat::parse("{{\"s\":{status}}}").unwrap();
        let expected = [
            LogPart::Text("{"),
            LogPart::Text("\"s\":"),
            LogPart::Variable("status"),
            LogPart::Text("}"),
        ];
        assert_eq!(format.parts(), expected);
        for text in [
            "",
            "{",
            "}",
            "{}",
            "{nope}",
            "{http_}",
            "{Status}",
            "{status",
            "a\nb",
            "{{status}",
            "{status}}",
        ] {
            assert!(LogFormat::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn origins_have_no_more_than_a_host_and_a_port() {
        for text in [
            "*",
            "https://a.example",
            "http://*.a.example:8080",
            "http://localhost:3000",
        ] {
            assert!(CorsOrigin::parse(text).is_ok(), "{text:?} was refused");
        }
        for text in [
            "",
            "null",
            "a.example",
            "https://",
            "https://a.example/",
            "https://A.example",
            "https://a.*.example",
            "https://*",
            "https://a.example:0",
            "https://a.example:080",
            "https://a.example;",
            "ftp://a.example",
        ] {
            assert!(CorsOrigin::parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
