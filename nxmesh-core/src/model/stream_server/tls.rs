//! TLS that a stream server ends.

use serde::{Deserialize, Serialize};

use crate::model::{
    ClientVerify, TlsPolicy, TlsSession, TlsVersion, Trust,
    value::{CipherList, CurveList, FilePath, ResourceName, Time},
};

/// How TLS is served (nginx manual, `ngx_stream_ssl_module`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StreamTls {
    /// The Certificate resource to serve.
    pub certificate: ResourceName,
    /// Certificate resources with keys of other types, of which each client gets
    /// the one it knows; at most 3. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_certificates: Vec<ResourceName>,
    /// Protocols and ciphers, where the next ones say nothing else. Default: `intermediate`.
    #[serde(default)]
    pub policy: TlsPolicy,
    /// Default: those of `policy` (nginx: `ssl_protocols`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<TlsVersion>,
    /// As OpenSSL writes them; not for TLS 1.3. Default: those of `policy`
    /// (nginx: `ssl_ciphers`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ciphers: Option<CipherList>,
    /// Default: `X25519:prime256v1:secp384r1` (nginx: `ssl_ecdh_curve`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curves: Option<CurveList>,
    /// A PEM file with Diffie-Hellman parameters on the agent's machine, for ciphers
    /// with `DHE`. Default: none, and such ciphers are not offered (nginx: `ssl_dhparam`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dh_parameters: Option<FilePath>,
    /// How handshakes are cut short. Default: a cache of 10m for a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<TlsSession>,
    /// How long a handshake may take. Default: nginx's, 60s (nginx:
    /// `ssl_handshake_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_timeout: Option<Time>,
    /// Ask clients for certificates. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<StreamClientCertificates>,
}

/// Asking clients for certificates (nginx: `ssl_verify_client`, 1.11.8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StreamClientCertificates {
    /// Who has to have signed them (nginx: `ssl_client_certificate`).
    pub trusted: Trust,
    /// What happens to those without a good one: with `required` and a bad one the
    /// connection is closed. Default: `required`.
    #[serde(default)]
    pub verify: ClientVerify,
    /// How many certificates may stand between, 1 to 10. Default: nginx's, 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u8>,
    /// A PEM file with revoked certificates on the agent's machine. Default:
    /// none (nginx: `ssl_crl`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<FilePath>,
}
