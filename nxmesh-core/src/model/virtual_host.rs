//! A virtual host: names, addresses, TLS and locations.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Document, Location, Selector, Traffic, TrafficSettings,
    traffic::Splitting,
    value::{ListenAddress, Port, ResourceName, ServerName, Time},
};

/// A virtual host document.
pub type VirtualHost = Document<VirtualHostSpec>;

/// What a virtual host says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct VirtualHostSpec {
    /// Which agents serve it. Default: every agent of the workspace.
    #[serde(default)]
    pub selector: Selector,
    /// The names it answers to; at least one (nginx: `server_name`).
    pub server_names: Vec<ServerName>,
    /// Where it listens. Default: port 80 on every address (nginx: `listen`).
    #[serde(default = "port_80")]
    pub listen: Vec<Listen>,
    /// Needed when any `listen` has `tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Which paths are answered how. Paths that match none get 404.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    /// How requests are treated, where a location does not say otherwise.
    /// In documents these fields stand among the others.
    #[serde(flatten, skip_deserializing)]
    pub traffic: Traffic,
}

impl Serialize for VirtualHostSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for VirtualHostSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = TrafficSettings::default();
        let mut spec = Self::deserialize(Splitting {
            inner: deserializer,
            settings: &mut settings,
        })?;
        spec.traffic = settings.into();
        Ok(spec)
    }
}

fn port_80() -> Vec<Listen> {
    Port::new(80).map(Listen::plain).into_iter().collect()
}

/// One address a virtual host listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// 1 to 65535.
    pub port: Port,
    /// Default: every IPv4 and IPv6 address of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<ListenAddress>,
    /// Serve TLS here. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// Offer HTTP/2 here; needs `tls`. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http2: bool,
    /// Answer requests whose name no virtual host on this port has. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_server: bool,
}

impl Listen {
    /// Plain HTTP on every address.
    #[must_use]
    pub const fn plain(port: Port) -> Self {
        Self {
            port,
            address: None,
            tls: false,
            http2: false,
            default_server: false,
        }
    }
}

/// How TLS is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The Certificate resource to serve.
    pub certificate: ResourceName,
    /// Protocols and ciphers. Default: `intermediate`.
    #[serde(default)]
    pub policy: TlsPolicy,
    /// Send `Strict-Transport-Security` on TLS responses. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
    /// Answer plain HTTP with a redirect (308) to HTTPS. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redirect_http: bool,
}

/// A set of protocols and ciphers, after Mozilla's server side TLS guidelines 5.7.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TlsPolicy {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.2 with forward secrecy, and TLS 1.3.
    #[default]
    Intermediate,
}

/// HTTP strict transport security (RFC 6797).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Hsts {
    /// How long clients remember; sent in whole seconds.
    pub max_age: Time,
    /// Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_subdomains: bool,
    /// Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preload: bool,
}
