//! Where a master is.

use std::{fmt, str::FromStr};

use http::Uri;
use rustls_pki_types::ServerName;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The port masters listen on for agents.
const DEFAULT_PORT: u16 = 8443;

/// Where a master is: `https://`, `grpcs://` or `wss://`, a host, and a port
/// unless it is 8443. TLS is always used. The last two schemes say what to
/// speak as well, where nothing else does.
///
/// ```
/// use nxmesh_agent_lib::transport::MasterUrl;
///
/// let url: MasterUrl = "https://master.example.com".parse().unwrap();
/// assert_eq!(url.to_string(), "https://master.example.com:8443");
/// assert!("http://master.example.com".parse::<MasterUrl>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterUrl {
    scheme: Scheme,
    host: String,
    port: u16,
    server_name: ServerName<'static>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    Grpcs,
    Wss,
}

/// The text does not say where a master is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a master's URL is https://, grpcs:// or wss://, a host and a port, for example https://master.example.com:8443"
)]
pub struct InvalidMasterUrl;

impl MasterUrl {
    pub(super) const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host alone; an IPv6 address without its brackets.
    pub(super) fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// The host and port to connect to; an IPv6 address has its brackets.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The name the master's certificate has to be for.
    pub(super) fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }
}

impl FromStr for MasterUrl {
    type Err = InvalidMasterUrl;

    fn from_str(text: &str) -> Result<Self, InvalidMasterUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidMasterUrl)?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority = uri.authority().ok_or(InvalidMasterUrl)?;
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("grpcs") => Scheme::Grpcs,
            Some("wss") => Scheme::Wss,
            _ => return Err(InvalidMasterUrl),
        };
        if !bare || authority.as_str().contains('@') {
            return Err(InvalidMasterUrl);
        }
        let host = authority.host();
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => DEFAULT_PORT,
            Some(rest) => rest
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .ok_or(InvalidMasterUrl)?,
            None => return Err(InvalidMasterUrl),
        };
        Ok(Self {
            scheme,
            server_name: ServerName::try_from(name.to_owned()).map_err(|_| InvalidMasterUrl)?,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for MasterUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Https => "https",
            Scheme::Grpcs => "grpcs",
            Scheme::Wss => "wss",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Serialize for MasterUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MasterUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_secure_address_is_refused() {
        for text in [
            "",
            "master",
            "http://127.0.0.1:8443",
            "ws://master:8443",
            "https://",
            "https://user@master:8443",
            "https://master:8443/path",
            "https://master:8443?x=1",
            "https://master:99999",
            "https://master:",
            "https://master:0x1",
            "https://bad_$host",
        ] {
            assert!(text.parse::<MasterUrl>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn addresses_are_taken_with_and_without_port() {
        for (text, normal) in [
            ("https://10.0.0.1", "https://10.0.0.1:8443"),
            ("grpcs://master:1/", "grpcs://master:1"),
            ("wss://master", "wss://master:8443"),
            ("https://[::1]:9", "https://[::1]:9"),
        ] {
            let url: MasterUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), normal);
        }
    }
}
