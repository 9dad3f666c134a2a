//! How agents look after the servers of an upstream.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::{HostName, LogStatus, RequestTarget, Time};

/// Each agent that uses the upstream asks its servers itself and tells how they are.
/// With the agent's setting `active_checks: enforce` a server that fails is also
/// rendered as `down`, but never the last one. Servers that are `down` by the
/// document are not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// How a server is asked. Default: `tcp`.
    #[serde(default, rename = "type")]
    pub kind: HealthCheckType,
    /// How often, 1 s to 1 h. Default: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Time>,
    /// How long an answer may take, 10 ms to 60 s. Default: 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Time>,
    /// With `http`, what is asked for. Default: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<RequestTarget>,
    /// With `http`, the `Host` that is asked for. Default: the server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// With `http`, good statuses, `204`, or classes of them, `2xx`; at most 20.
    /// Default: 2xx and 3xx.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect_status: Vec<LogStatus>,
    /// After so many good answers in a row a server that failed is good again, 1 to
    /// 100. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rises: Option<u8>,
    /// After so many bad answers in a row a server fails, 1 to 100. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub falls: Option<u8>,
}

/// How a server is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthCheckType {
    /// It has to accept a connection.
    #[default]
    Tcp,
    /// It has to answer a GET, without TLS.
    Http,
}

impl HealthCheck {
    /// How often a server is asked.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
            .map_or(Duration::from_secs(5), Time::as_duration)
    }

    /// How long an answer may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
            .map_or(Duration::from_secs(2), Time::as_duration)
    }

    /// Good answers in a row after which a server is good again.
    #[must_use]
    pub fn rises(&self) -> u8 {
        self.rises.unwrap_or(2)
    }

    /// Bad answers in a row after which a server fails.
    #[must_use]
    pub fn falls(&self) -> u8 {
        self.falls.unwrap_or(3)
    }
}
