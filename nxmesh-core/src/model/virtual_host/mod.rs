//! A virtual host: names, addresses, TLS and locations.

mod client;
mod listen;
mod tls;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Document, Location, Selector, Traffic, TrafficSettings,
    traffic::Splitting,
    value::{FilePath, HostName, LocationPath, Network, Port, ResourceName, ServerName},
};
pub use client::{ClientKeepalive, ClientSettings, LargeHeaders, ServerTokens};
pub use listen::Listen;
pub use tls::{
    ClientCertificates, ClientVerify, Hsts, Stapling, Tls, TlsPolicy, TlsProxy, TlsSession,
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
    /// Other host names that are led (308) to the first of `server_names`, for
    /// example the one with `www.` before it; at most 100. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_names: Vec<HostName>,
    /// Ports with TLS take no handshake at all: for the default server of a port,
    /// so that strangers are shown no certificate; needs no `tls`. Default: false
    /// (nginx: `ssl_reject_handshake`, 1.19.4).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reject_handshake: bool,
    /// Someone in front of nginx ends TLS, and says in `X-Forwarded-Proto` what
    /// the client spoke. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_tls_proxy: Option<TlsProxy>,
    /// Keeps `/.well-known/acme-challenge/` open to those who issue certificates
    /// (RFC 8555, section 8.3), whatever else is said. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme_challenge: Option<AcmeChallenge>,
    /// A path that is answered with 200 and `ok`, whatever else is said, and not
    /// written down. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<LocationPath>,
    /// A path that is answered with the name of the configuration that serves, as
    /// agents report it, and not written down. It tells nothing but which version it
    /// is. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<LocationPath>,
    /// Counts of connections and requests of the whole nginx. Default: none (nginx:
    /// `stub_status`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusEndpoint>,
    /// Paths that somebody else writes, in RouteSet documents; at most 100. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates: Vec<Delegate>,
    /// What clients may send, and how long they may take. Default: nginx's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Box<ClientSettings>>,
    /// What nginx tells of itself. Default: nginx's, its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_tokens: Option<ServerTokens>,
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

/// Paths that somebody else writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// What their paths begin with, for example `/docs/`.
    pub prefix: LocationPath,
    /// The RouteSet that says what is done with them.
    pub routes: ResourceName,
}

/// Where counts of the whole nginx are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StatusEndpoint {
    /// The path.
    pub path: LocationPath,
    /// Who may ask, 1 to 100 networks; nobody else.
    pub allow: Vec<Network>,
}

/// Where answers to challenges come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AcmeChallenge {
    /// A folder on the agent's machine; the whole path is looked up in it.
    Root(FilePath),
    /// An Upstream, over plain HTTP.
    Upstream(ResourceName),
}
