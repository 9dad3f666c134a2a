//! Compressing responses.

use serde::{Deserialize, Serialize};

use crate::model::value::{ContentType, SizeBytes};

/// Compressing responses with gzip for clients that accept it (nginx:
/// `gzip` and its kin).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Gzip {
    /// Whether to compress; false switches off what is said further out.
    /// Default: true.
    #[serde(default = "super::on", skip_serializing_if = "Clone::clone")]
    pub enabled: bool,
    /// 1 (fast) to 9 (small). Default: nginx's, 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Shorter responses are sent as they are. Default: nginx's, 20 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<SizeBytes>,
    /// Media types beside `text/html`, without parameters, at most 100.
    /// Default: nginx's, none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<ContentType>,
    /// Send `Vary: Accept-Encoding`. Default: true.
    #[serde(default = "super::on", skip_serializing_if = "Clone::clone")]
    pub vary: bool,
    /// Compress also for requests that came through a proxy. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxied: bool,
}
