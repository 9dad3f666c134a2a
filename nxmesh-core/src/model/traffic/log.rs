//! What is written down about requests.

use serde::{Deserialize, Serialize};

use crate::model::value::{FilePath, LogFormat, LogStatus, RegexPattern, SyslogAddress};

/// One line for each request (nginx: `access_log`). Default: none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AccessLog {
    /// `none`: no lines, whatever is said further out.
    None,
    /// `to: …`: lines go there.
    To(LogTarget),
}

/// Where lines go, which, and how they look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LogTarget {
    /// A file on the agent's machine. Exactly one of file and syslog is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,
    /// A syslog server, over UDP or a unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<SyslogAddress>,
    /// How a line looks. Default: `combined`.
    #[serde(default)]
    pub format: LogStyle,
    /// How values are written into a `custom` line. Default: `default`.
    #[serde(default, skip_serializing_if = "LogEscape::is_default")]
    pub escape: LogEscape,
    /// Requests that are left out. Default: none.
    #[serde(default, skip_serializing_if = "LogSkip::is_empty")]
    pub skip: LogSkip,
}

/// How a line looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogStyle {
    /// nginx's own (nginx manual, `log_format`).
    #[default]
    Combined,
    /// One JSON object with time, client, request, status, sizes, times and upstream.
    Json,
    /// `custom: "{remote_addr} {status}"`: a text with variables of nginx; `{{` and
    /// `}}` are braces.
    Custom(LogFormat),
}

/// How values are written (nginx: `log_format`, `escape`, 1.11.8; `none`, 1.13.10).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogEscape {
    /// Quotes, backslashes and what cannot be printed as `\xXX`.
    #[default]
    Default,
    /// As in a string of JSON (RFC 8259), for lines that are JSON.
    Json,
    /// As they are. Clients can then write lines of their own.
    None,
}

impl LogEscape {
    const fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }
}

/// Requests that are left out: those that match one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LogSkip {
    /// Statuses, `404`, or classes of them, `2xx`; at most 20. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<LogStatus>,
    /// Patterns of paths with their query, at most 100. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<RegexPattern>,
    /// Patterns of `User-Agent`, whatever its case; at most 100. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_agents: Vec<RegexPattern>,
}

impl LogSkip {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What nginx itself has to say (nginx: `error_log`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ErrorLog {
    /// A file on the agent's machine. Exactly one of file and syslog is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,
    /// A syslog server, over UDP or a unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<SyslogAddress>,
    /// How much it says. Default: `error`.
    #[serde(default)]
    pub level: ErrorLogLevel,
    /// Also tell how `rewrite` went, at `notice` (nginx: `rewrite_log`). Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rewrites: bool,
}

/// How much nginx says: this, and what is more severe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorLogLevel {
    /// Every step, if nginx was built for it.
    Debug,
    /// What may be worth knowing.
    Info,
    /// What is normal but rare.
    Notice,
    /// What looks wrong.
    Warn,
    /// What went wrong with a request.
    #[default]
    Error,
    /// What nginx cannot do any more.
    Crit,
    /// What needs a hand at once.
    Alert,
    /// What stops nginx.
    Emerg,
}

impl ErrorLogLevel {
    /// The name nginx has for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Crit => "crit",
            Self::Alert => "alert",
            Self::Emerg => "emerg",
        }
    }
}
