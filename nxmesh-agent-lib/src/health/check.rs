//! Checks over HTTP that the agent's settings ask for.

use std::{path::Path, time::Duration};

use http::{Method, Uri};
use nxmesh_core::model::value::LogStatus;

use super::probe::{Question, Target};

/// A question about what this machine serves, asked again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    pub(super) name: String,
    pub(super) target: Target,
    pub(super) question: Question,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

/// Why a check cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the check {name:?} cannot be made: {reason}")]
pub struct HttpCheckError {
    /// The check.
    pub name: String,
    /// Which rule is broken, with an example.
    pub reason: &'static str,
}

const RULE: &str = "its url leads to this machine, for example http://127.0.0.1:8080/healthz or \
                    http://unix:/run/app.sock:/healthz";

impl HttpCheck {
    /// A check with GET, every 10 s, of 2 s at most, that expects 2xx or 3xx. The
    /// `url` leads to a loopback address or, as nginx writes it, to a unix socket.
    ///
    /// # Errors
    ///
    /// [`HttpCheckError`] for a name that is not 1 to 63 letters, digits, `-`, `_`
    /// or `.`, or a URL that leads elsewhere.
    pub fn new(name: &str, url: &str) -> Result<Self, HttpCheckError> {
        let refused = |reason| HttpCheckError {
            name: name.to_owned(),
            reason,
        };
        let plain = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
        if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
            return Err(refused(
                "its name has 1 to 63 letters, digits, -, _ or ., for example shop",
            ));
        }
        let (target, path, host) = parse(url).ok_or_else(|| refused(RULE))?;
        Ok(Self {
            name: name.to_owned(),
            target,
            question: Question {
                method: Method::GET,
                path,
                host,
                expect: ["2xx", "3xx"]
                    .iter()
                    .filter_map(|it| it.parse().ok())
                    .collect(),
                contains: None,
            },
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Replaces the method, for example with HEAD.
    ///
    /// # Errors
    ///
    /// [`HttpCheckError`] if it is none.
    pub fn method(mut self, method: &str) -> Result<Self, HttpCheckError> {
        self.question.method = method.parse().map_err(|_| HttpCheckError {
            name: self.name.clone(),
            reason: "its method is one of HTTP, for example HEAD",
        })?;
        Ok(self)
    }

    /// Replaces the `Host` that is asked for. Default: that of the URL.
    ///
    /// # Errors
    ///
    /// [`HttpCheckError`] if it cannot be in a request.
    pub fn host(mut self, host: &str) -> Result<Self, HttpCheckError> {
        let visible = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || host.len() > 255 {
            return Err(HttpCheckError {
                name: self.name,
                reason: "its host is a name with or without a port, for example shop.example.com",
            });
        }
        self.question.host = host.to_owned();
        Ok(self)
    }

    /// Replaces the good statuses; none keeps them as they are.
    #[must_use]
    pub fn expect(mut self, statuses: Vec<LogStatus>) -> Self {
        if !statuses.is_empty() {
            self.question.expect = statuses;
        }
        self
    }

    /// Wants the first 256 KiB of the body to contain a text; a longer one is bad.
    #[must_use]
    pub fn contains(mut self, text: impl Into<String>) -> Self {
        self.question.contains = Some(text.into());
        self
    }

    /// Replaces how often it is asked and how long an answer may take, 10 ms at least.
    #[must_use]
    pub fn timing(mut self, interval: Duration, timeout: Duration) -> Self {
        const LEAST: Duration = Duration::from_millis(10);
        self.interval = interval.max(LEAST);
        self.timeout = timeout.max(LEAST);
        self
    }
}

/// Target, path with query, and host.
fn parse(url: &str) -> Option<(Target, String, String)> {
    if let Some(rest) = url.strip_prefix("http://unix:") {
        let (socket, path) = rest.split_once(':')?;
        let uri: Uri = path.parse().ok()?;
        let fits = Path::new(socket).is_absolute() && path.starts_with('/');
        let path = uri.path_and_query()?.to_string();
        return fits.then(|| (Target::Unix(socket.into()), path, "localhost".to_owned()));
    }
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority().filter(|it| !it.as_str().contains('@'))?;
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let local = host == "localhost"
        || address
            .parse()
            .is_ok_and(|it: std::net::IpAddr| it.is_loopback());
    if uri.scheme_str() != Some("http") || !local {
        return None;
    }
    let port = authority.port_u16().unwrap_or(80);
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    Some((
        Target::Tcp(format!("{host}:{port}")),
        path.to_owned(),
        authority.to_string(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked() {
        for (url, target, path) in [
            (
                "http://127.0.0.1:8080/a?b",
                "Tcp(\"127.0.0.1:8080\")",
                "/a?b",
            ),
            ("http://localhost", "Tcp(\"localhost:80\")", "/"),
            ("http://[::1]/x", "Tcp(\"[::1]:80\")", "/x"),
            ("http://127.9.9.9/", "Tcp(\"127.9.9.9:80\")", "/"),
            ("http://unix:/run/a.sock:/x", "Unix(\"/run/a.sock\")", "/x"),
        ] {
            let check = HttpCheck::new("a", url).unwrap();
            assert_eq!(format!("{:?}", check.target), target);
            assert_eq!(check.question.path, path);
        }
        for bad in [
            "",
            "127.0.0.1",
            "https://127.0.0.1/",
            "http://10.0.0.1/",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://user@127.0.0.1/",
            "http://unix:run/a.sock:/x",
            "http://unix:/run/a.sock",
            "http://unix:/run/a.sock:x",
        ] {
            assert!(HttpCheck::new("a", bad).is_err(), "{bad}");
        }
        for bad in ["", "a b", "a/b", &"a".repeat(64)] {
            assert!(HttpCheck::new(bad, "http://127.0.0.1/").is_err(), "{bad}");
        }
        let check = HttpCheck::new("a", "http://127.0.0.1/").unwrap();
        assert!(check.clone().method("GE T").is_err());
        assert!(check.host("a\r\nb: c").is_err());
    }
}
