//! TLS towards clients.

use serde::{Deserialize, Serialize};

use crate::model::{
    TlsVersion, Trust,
    value::{
        CipherList, CurveList, FilePath, RedirectCode, RegexPattern, ResourceName, SizeBytes, Time,
    },
};

/// How TLS is served.
///
/// Of hosts that share a port nginx takes `curves`, `session` and `early_data` of the port's
/// default server for all of them, and before 1.29.2 the versions of TLS too; a plan tells
/// where they differ. Where a host speaks TLS 1.3 alone, such an nginx answers 421 to requests
/// over older versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The Certificate resource to serve.
    pub certificate: ResourceName,
    /// Certificate resources with keys of other types, of which each client gets
    /// the one it knows; at most 3. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_certificates: Vec<ResourceName>,
    /// Protocols and ciphers, where the next four say nothing else. Default: `intermediate`.
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
    /// The order of `ciphers` counts, not that of the client. Default: that of
    /// `policy` (nginx: `ssl_prefer_server_ciphers`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer_server_ciphers: Option<bool>,
    /// How handshakes are cut short. Default: a cache of 10m for a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<TlsSession>,
    /// Take requests within the handshake (TLS 1.3). An attacker can send them
    /// again. Default: false (nginx: `ssl_early_data`, 1.15.3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early_data: bool,
    /// How much is sent at a time, 1k to 64k. Default: nginx's, 16k (nginx:
    /// `ssl_buffer_size`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer_size: Option<SizeBytes>,
    /// Show that the certificate is not revoked (OCSP). Default: no (nginx:
    /// `ssl_stapling`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stapling: Option<Stapling>,
    /// Ask clients for certificates. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Box<ClientCertificates>>,
    /// Answer 421 where the host asked for is not the one of the handshake
    /// (RFC 9110, section 15.5.20). Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_sni: bool,
    /// Send `Strict-Transport-Security` on TLS responses. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
    /// Answer plain HTTP with a redirect to HTTPS. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redirect_http: bool,
    /// With this status. Default: 308.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_code: Option<RedirectCode>,
    /// Requests of other methods than GET and HEAD with this status: after 301 and 302
    /// clients ask with GET (RFC 9110, section 15.4). Default: `redirect_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_code_other_methods: Option<RedirectCode>,
}

/// A set of protocols and ciphers, after Mozilla's server side TLS guidelines 5.7 or,
/// under their names there, the security policies of AWS's load balancers (their manual,
/// "Security policies for your Application Load Balancer").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TlsPolicy {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.2 with forward secrecy, and TLS 1.3.
    #[default]
    Intermediate,
    /// TLS 1.0 to 1.3, for very old clients; not secure.
    Old,
    /// TLS 1.3 only.
    #[serde(rename = "ELBSecurityPolicy-TLS13-1-3-2021-06")]
    Aws13,
    /// TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3.
    #[serde(rename = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06")]
    Aws12Restricted,
    /// TLS 1.2 with forward secrecy, and TLS 1.3.
    #[serde(rename = "ELBSecurityPolicy-TLS13-1-2-2021-06")]
    Aws12,
}

/// How handshakes are cut short for clients that come again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TlsSession {
    /// The memory for them, 32k to 1g; 1m holds about 4,000. The same for all who
    /// say the same. Default: 10m (nginx: `ssl_session_cache`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<SizeBytes>,
    /// How long they are good for. Default: 1d (nginx: `ssl_session_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Time>,
    /// Let clients keep them too, sealed with a key that nginx makes when it
    /// loads. Default: false (nginx: `ssl_session_tickets`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tickets: bool,
}

/// Showing that a certificate is not revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Stapling {
    /// Who has to have signed what is shown. Default: it is not verified (nginx:
    /// `ssl_stapling_verify`, `ssl_trusted_certificate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Trust>,
}

/// Asking clients for certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// Who has to have signed them (nginx: `ssl_client_certificate`).
    pub trusted: Trust,
    /// What happens to those without a good one. Default: `required`.
    #[serde(default)]
    pub verify: ClientVerify,
    /// How many certificates may stand between, 1 to 10. Default: nginx's, 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u8>,
    /// A PEM file with revoked certificates on the agent's machine. Default:
    /// none (nginx: `ssl_crl`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<FilePath>,
    /// Patterns of subjects (RFC 2253, `CN=anna,O=Shop`), of which one has to
    /// match, or the client gets 403; at most 100. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<RegexPattern>,
    /// Tell upstreams: `X-Client-Verify`, `X-Client-Subject`,
    /// `X-Client-Fingerprint` (SHA-1) and `X-Client-Cert` (PEM, URL-encoded), in
    /// place of what the client sent under these names. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pass: bool,
}

/// What happens to clients without a good certificate (nginx: `ssl_verify_client`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClientVerify {
    /// They get 400.
    #[default]
    Required,
    /// Without any they are let in, with a bad one they get 400.
    Optional,
    /// They are let in; a certificate need not be signed by `trusted`.
    OptionalUnsigned,
}

/// Someone in front of nginx who ends TLS. Clients that reach nginx past them
/// can say what they like, so let `access` or a firewall keep those out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TlsProxy {
    /// Lead clients that spoke plain HTTP to HTTPS. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redirect_http: bool,
    /// With this status. Default: 308.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_code: Option<RedirectCode>,
    /// Requests of other methods than GET and HEAD with this status. Default:
    /// `redirect_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_code_other_methods: Option<RedirectCode>,
    /// Send `Strict-Transport-Security` to those that spoke HTTPS. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
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
