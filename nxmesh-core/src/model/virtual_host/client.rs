//! What clients may send, and what they are told of nginx.

use serde::{Deserialize, Serialize};

use crate::model::value::{SizeBytes, Time};

/// What clients may send, and how long they may take. The first four count
/// before nginx knows the host, so it takes them from the default server of the
/// port (nginx manual, "How nginx processes a request").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// For all headers of a request. Default: nginx's, 60 s (nginx: `client_header_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_timeout: Option<Time>,
    /// The memory for the headers of most requests, 128 bytes to 1m. Default:
    /// nginx's, 1k (nginx: `client_header_buffer_size`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_buffer: Option<SizeBytes>,
    /// The memory for larger headers. Default: nginx's, 4 of 8k (nginx:
    /// `large_client_header_buffers`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_headers: Option<LargeHeaders>,
    /// Drop headers whose names have odd characters. Default: nginx's, true
    /// (nginx: `ignore_invalid_headers`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_invalid_headers: Option<bool>,
    /// Take headers with `_` in their names. Default: nginx's, false (nginx:
    /// `underscores_in_headers`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub underscores_in_headers: Option<bool>,
    /// Between two parts of a body. Default: nginx's, 60 s (nginx: `client_body_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_timeout: Option<Time>,
    /// Larger bodies are written to disk; 1k to 1g. Default: nginx's, 16k (nginx:
    /// `client_body_buffer_size`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_buffer: Option<SizeBytes>,
    /// Between two parts of a response. Default: nginx's, 60 s (nginx: `send_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_timeout: Option<Time>,
    /// How long connections are kept for more requests. Default: nginx's.
    #[serde(default, skip_serializing_if = "ClientKeepalive::is_default")]
    pub keepalive: ClientKeepalive,
    /// Take `//` in a path for `/` when locations are compared. Default: nginx's,
    /// true (nginx: `merge_slashes`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_slashes: Option<bool>,
    /// Reset connections that took too long, to free their memory at once.
    /// Default: nginx's, false (nginx: `reset_timedout_connection`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_timed_out: Option<bool>,
}

/// Some pieces of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LargeHeaders {
    /// How many, 1 to 64.
    pub number: u8,
    /// How large, 1k to 1m: a request line or a header fits into one.
    pub size: SizeBytes,
}

/// How long connections are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientKeepalive {
    /// Idle; `0s` to close them after each request. Default: nginx's, 75 s
    /// (nginx: `keepalive_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Time>,
    /// For so many requests, 1 to 1000000. Default: nginx's, 1000 (nginx: `keepalive_requests`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// Altogether. Default: nginx's, 1 h (nginx: `keepalive_time`, 1.19.10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}

impl ClientKeepalive {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What nginx tells of itself in `Server` and on its error pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServerTokens {
    /// Its name.
    Name,
    /// Its name and version.
    Version,
    /// Its name, version and the name of its build.
    Build,
}
