//! Where the client's address comes from.

use serde::{Deserialize, Serialize};

use crate::model::value::{HeaderName, Network};

/// Takes the client's address from those in front of nginx (module
/// `http_realip_module`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RealIp {
    /// Whom to believe: 1 to 1000 networks (nginx: `set_real_ip_from`).
    pub trusted: Vec<Network>,
    /// Where it stands. Default: the header `X-Forwarded-For`.
    #[serde(default)]
    pub from: RealIpSource,
    /// Take the last address that is not of a trusted network, instead of the
    /// last one. Default: true (nginx: `real_ip_recursive`).
    #[serde(default = "super::on", skip_serializing_if = "Clone::clone")]
    pub recursive: bool,
}

/// Where the client's address stands (nginx: `real_ip_header`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RealIpSource {
    /// In `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// In `X-Real-IP`.
    XRealIp,
    /// In what the PROXY protocol says; the port has to take it.
    ProxyProtocol,
    /// In another header: `{ header: CF-Connecting-IP }`.
    Header(HeaderName),
}
