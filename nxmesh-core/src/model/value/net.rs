//! Addresses, ports, header names and redirect targets.

use std::{fmt, net::IpAddr, num::NonZeroU16, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{ValueError, fits_a_token, parsed_text};

/// A TCP port from 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Port(NonZeroU16);

impl Port {
    /// Takes a port number; `None` for 0.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        u16::try_from(number)
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| {
                de::Error::custom(ValueError {
                    rule: "a port is 1 to 65535",
                    example: "8080",
                })
            })
    }
}

/// The local address a server listens on: an IP address without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenAddress(IpAddr);

impl ListenAddress {
    /// The address.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ListenAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse().map(Self).map_err(|_| ValueError {
            rule: "a listen address is an IPv4 or IPv6 address without brackets or port",
            example: "127.0.0.1",
        })
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

parsed_text! {
    /// The name of one host, in lower case.
    HostName,
    rule: "a host name is a DNS name or IPv4 address without wildcards",
    example: "api.example.com",
    parse: host_name,
}

fn host_name(text: &str) -> Option<String> {
    let name = super::ServerName::parse(text).ok()?;
    (!name.as_str().contains(['*', '~']) && name.as_str() != "_").then(|| name.to_string())
}

parsed_text! {
    /// Where an upstream server listens: `host:port`, `[v6]:port` or `unix:/path`.
    UpstreamAddress,
    rule: "an upstream address is host:port, an IPv6 address in brackets with :port, or unix: and an absolute path",
    example: "10.0.0.11:8080",
    parse: upstream_address,
}

fn upstream_address(text: &str) -> Option<String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let plain = path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"'\\;{}$:#".contains(&byte));
        return (path.starts_with('/') && path.len() <= 107 && plain).then(|| text.to_owned());
    }
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| port.parse().ok())??;
    let host = if let Some(v6) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        format!("[{}]", v6.parse::<std::net::Ipv6Addr>().ok()?)
    } else {
        host_name(host)?
    };
    (port != 0).then(|| format!("{host}:{port}"))
}

parsed_text! {
    /// The name of an HTTP header field (RFC 9110, section 5.6.2, `token`).
    ///
    /// The fields that frame a message or belong to one connection are nginx's
    /// own (RFC 9112, sections 6 and 9; RFC 9110, section 7.6.1): a second one
    /// would let two readers see different messages.
    HeaderName,
    rule: "a header name is 1 to 128 letters, digits and any of !#%&'*+-.^_`|~, and none of Connection, Content-Length, Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding and Upgrade",
    example: "X-Frame-Options",
    // '$' is a token character too, but starts a variable in nginx.
    parse: |text| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#%&'*+-.^_`|~".contains(&byte);
        let plain = matches!(text.len(), 1..=128) && text.bytes().all(token);
        let framing = FRAMING_HEADERS.iter().any(|name| text.eq_ignore_ascii_case(name));
        (plain && !framing).then(|| text.to_owned())
    },
}

const FRAMING_HEADERS: [&str; 8] = [
    "Connection",
    "Content-Length",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

parsed_text! {
    /// Where a redirect leads: an absolute `http`/`https` URL or a path.
    RedirectTarget,
    rule: "a redirect target is a URL with http:// or https://, or a path that starts with one '/', in printable ASCII without spaces",
    example: "https://shop.example.com/new",
    parse: |text| {
        let path = text.starts_with('/') && !text.starts_with("//");
        let url = ["http://", "https://"].iter().any(|scheme| {
            text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        });
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        ((path || url) && printable && fits_a_token(text)).then(|| text.to_owned())
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_frame_a_message_are_not_the_tenants() {
        for name in ["Content-Length", "transfer-encoding", "CONNECTION", "Te"] {
            assert!(HeaderName::parse(name).is_err(), "{name} was accepted");
        }
        for name in ["Content-Type", "X-Upgrade", "Team", "Host"] {
            assert!(HeaderName::parse(name).is_ok(), "{name} was refused");
        }
    }
}

/// A network, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessSource {
    /// Every client.
    All,
    /// Clients with an address in this network.
    Network(Network),
}

impl fmt::Display for AccessSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Network(network) => network.fmt(f),
        }
    }
}

impl FromStr for AccessSource {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::Network).map_err(|_| ValueError {
            rule: "clients are all, an address or a network in CIDR form without host bits",
            example: "10.0.0.0/8",
        })
    }
}

/// A network in CIDR form without host bits, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpNet);

impl Network {
    /// The network.
    #[must_use]
    pub const fn net(self) -> IpNet {
        self.0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

impl FromStr for Network {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse::<IpNet>()
            .ok()
            .or_else(|| text.parse().ok().map(|address: IpAddr| address.into()))
            // nginx takes host bits for a mistake too, but only warns.
            .filter(|net| net.addr() == net.network())
            .map(Self)
            .ok_or(ValueError {
                rule: "a network is an address, or an address and prefix length without host bits",
                example: "10.0.0.0/8",
            })
    }
}

/// serde for values that are written as text.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }
    )*};
}
as_text!(AccessSource, Network);
