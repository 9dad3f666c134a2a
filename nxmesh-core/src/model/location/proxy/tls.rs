//! TLS towards an upstream.

use serde::{Deserialize, Serialize};

use crate::model::value::{CipherList, FilePath, HostName, ResourceName};

/// How TLS is spoken with an upstream. Sessions are not resumed: nginx would share
/// them, and who was verified, among all that ask the upstream (nginx:
/// `proxy_ssl_session_reuse`). Connections that an Upstream keeps (`keepalive`) are
/// shared by all that ask it, so all of them have to say the same here; those who say
/// something else have an Upstream of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// The name that is asked for and, with `verify`, has to be in the
    /// certificate. Default: the requested host, with `verify` only where the Upstream
    /// says `keepalive: 0` (nginx: `proxy_ssl_name`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<HostName>,
    /// Do not say the name in the handshake (SNI). Default: false (nginx:
    /// `proxy_ssl_server_name`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_sni: bool,
    /// Who has to have signed the certificate. Default: it is not verified
    /// (nginx: `proxy_ssl_verify`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Trust>,
    /// How many certificates may stand between, 1 to 10; needs `verify`.
    /// Default: nginx's, 1 (nginx: `proxy_ssl_verify_depth`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u8>,
    /// Default: nginx's (nginx: `proxy_ssl_protocols`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<TlsVersion>,
    /// As OpenSSL writes them; not for TLS 1.3. Default: nginx's (nginx:
    /// `proxy_ssl_ciphers`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ciphers: Option<CipherList>,
    /// The Certificate resource nginx shows. Default: none (nginx:
    /// `proxy_ssl_certificate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<ResourceName>,
}

impl UpstreamTls {
    /// Says nothing.
    pub(crate) const UNSAID: Self = Self {
        server_name: None,
        without_sni: false,
        verify: None,
        depth: None,
        protocols: Vec::new(),
        ciphers: None,
        certificate: None,
    };
}

/// The certificates that a certificate has to be signed by one of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// A PEM file on the agent's machine, for example
    /// `/etc/ssl/certs/ca-certificates.crt`.
    File(FilePath),
    /// The chain of a Certificate resource: for servers that show this very
    /// certificate, signed by itself.
    Certificate(ResourceName),
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TlsVersion {
    /// TLS 1.0; broken, for servers that know no other.
    #[serde(rename = "TLSv1")]
    Tls10,
    /// TLS 1.1; broken, for servers that know no other.
    #[serde(rename = "TLSv1.1")]
    Tls11,
    /// TLS 1.2.
    #[serde(rename = "TLSv1.2")]
    Tls12,
    /// TLS 1.3 (nginx 1.13.0).
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

impl TlsVersion {
    /// nginx's word for it.
    #[must_use]
    pub const fn nginx_name(self) -> &'static str {
        match self {
            Self::Tls10 => "TLSv1",
            Self::Tls11 => "TLSv1.1",
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}
