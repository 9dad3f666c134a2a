//! How much a client may ask for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::{
    Condition,
    value::{HeaderName, Network, SizeBytes, StatusCode, ValueError},
};

/// Limits of requests per time (nginx: `limit_req`). Each virtual host counts
/// for itself, also where a policy says this for several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// At least one, at most 10; a request has to keep all of them.
    pub limits: Vec<RequestLimit>,
    /// What refused requests get, 400 to 599. Default: 429 (nginx: `limit_req_status`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusCode>,
    /// Only log what would be refused. Default: false (nginx: `limit_req_dry_run`, 1.17.1).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// At which level nginx tells of refused requests; of delayed ones it tells one
    /// level below. Default: nginx's, `error` (nginx: `limit_req_log_level`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LimitLogLevel>,
    /// So many agents serve the same clients, 1 to 1000: each of them lets its part of
    /// every `rate` through, at least one request per minute. Default: 1, each agent
    /// counts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<u16>,
    /// Clients that are not limited, at most 1000 networks. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Network>,
}

/// One limit of requests per time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestLimit {
    /// What is counted by. Default: `remote_addr`.
    #[serde(default)]
    pub key: LimitKey,
    /// Only requests like this are counted; of several tiers each has a limit of its
    /// own: `{ headers: [{ name: X-Tier, value: gold }] }`. Default: all requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Box<Condition>>,
    /// Only requests that no `when` of the other limits is for are counted. Default:
    /// false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub otherwise: bool,
    /// How many requests, for example `10r/s` or `30r/m`.
    pub rate: RequestRate,
    /// How many requests more may come at once, up to 100000. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// How many of the burst are served without delay, up to `burst`; all of
    /// them if it is the same. Default: none (nginx: `delay`, 1.15.7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_delay: Option<u32>,
    /// The memory for counting, 32k to 1g; 1m holds about 16,000 addresses.
    /// Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_size: Option<SizeBytes>,
}

/// Limits of connections at a time (nginx: `limit_conn`). Each virtual host
/// counts for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConnectionLimit {
    /// At least one, at most 10; a connection has to keep all of them.
    pub limits: Vec<ConnectionCount>,
    /// What refused requests get, 400 to 599. Default: 429 (nginx: `limit_conn_status`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusCode>,
    /// Only log what would be refused. Default: false (nginx: `limit_conn_dry_run`, 1.17.6).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// At which level nginx tells of refused requests. Default: nginx's, `error`
    /// (nginx: `limit_conn_log_level`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LimitLogLevel>,
}

/// How loud nginx tells of what a limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LimitLogLevel {
    /// As what may be worth knowing.
    Info,
    /// As what is normal but rare.
    Notice,
    /// As what looks wrong.
    Warn,
    /// As what went wrong with a request.
    Error,
}

impl LimitLogLevel {
    /// The name nginx has for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One limit of connections at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConnectionCount {
    /// What is counted by. Default: `remote_addr`.
    #[serde(default)]
    pub key: LimitKey,
    /// How many, 1 to 65535.
    pub connections: u16,
    /// The memory for counting, 32k to 1g. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_size: Option<SizeBytes>,
}

/// How fast responses are sent, per connection (nginx: `limit_rate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Bandwidth {
    /// Bytes per second, at least 1.
    pub rate: SizeBytes,
    /// So much of a response is sent without a limit. Default: nothing
    /// (nginx: `limit_rate_after`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<SizeBytes>,
}

/// What requests are counted by. Requests without it are not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LimitKey {
    /// The client's address.
    #[default]
    RemoteAddr,
    /// All requests of the virtual host together.
    Host,
    /// The request path and query.
    RequestUri,
    /// A header of the request: `{ header: X-Api-Key }`.
    Header(HeaderName),
}

/// A number of requests per second or minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    requests: u32,
    per_minute: bool,
}

impl RequestRate {
    /// The part of one of `agents` that let so many requests through together: in
    /// whole requests per minute, at least one.
    #[must_use]
    pub fn part_of(self, agents: u16) -> Self {
        let agents = u32::from(agents.max(1));
        if self.requests.is_multiple_of(agents) {
            return Self {
                requests: self.requests / agents,
                ..self
            };
        }
        let minute = if self.per_minute { 1 } else { 60 };
        Self {
            requests: (self.requests * minute / agents).max(1),
            per_minute: true,
        }
    }
}

impl fmt::Display for RequestRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.per_minute { 'm' } else { 's' };
        write!(f, "{}r/{unit}", self.requests)
    }
}

impl FromStr for RequestRate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (number, unit) = text.split_once("r/").unwrap_or_default();
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        let requests = number
            .parse()
            .ok()
            .filter(|it| plain && (1..=1_000_000).contains(it));
        match (requests, unit) {
            (Some(requests), "s" | "m") => Ok(Self {
                requests,
                per_minute: unit == "m",
            }),
            _ => Err(ValueError {
                rule: "a rate is 1 to 1000000 requests per second or minute",
                example: "10r/s",
            }),
        }
    }
}

impl Serialize for RequestRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
