//! Compressing responses.

use serde::{Deserialize, Serialize};

use crate::model::value::{ContentType, RegexPattern, SizeBytes};

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
    /// Patterns of `User-Agent`, whatever its case, to which responses are sent as
    /// they are; at most 20. Default: none (nginx: `gzip_disable`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disable: Vec<RegexPattern>,
    /// How many buffers of how many bytes, 4 to 1024 of 1k to 1m. Default: nginx's, 32
    /// of 4k (nginx: `gzip_buffers`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffers: Option<GzipBuffers>,
    /// Unpack compressed responses of upstreams for clients that do not know gzip.
    /// Default: false (nginx: `gunzip`, module `http_gunzip_module`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpack: bool,
    /// Compress also for requests that came through a proxy. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxied: bool,
}

/// Memory for compressing one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GzipBuffers {
    /// How many, 4 to 1024.
    pub count: u16,
    /// How large each is, 1k to 1m.
    pub size: SizeBytes,
}
