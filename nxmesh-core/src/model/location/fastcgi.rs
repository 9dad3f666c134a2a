//! Passing requests to a FastCGI server.

use serde::{Deserialize, Serialize};

use super::{ProxyTimeouts, Retry, Variable};
use crate::model::value::{
    FilePath, HeaderName, HeaderValue, IndexName, ParamName, RegexPattern, ResourceName, UriPath,
    ValueError,
};

/// Passing requests to a FastCGI server, such as PHP-FPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FastCgi {
    /// The Upstream resource; its servers may be sockets, as
    /// `unix:/run/php/php-fpm.sock`.
    pub upstream: ResourceName,
    /// The folder scripts lie in, on the FastCGI server's machine.
    pub root: FilePath,
    /// The script that answers for folders. Default: none (nginx: `fastcgi_index`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexName>,
    /// The script that answers everything, below `root`, for example
    /// `/index.php`. Default: the one the request asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<UriPath>,
    /// Takes a path apart into the script and what follows it, `PATH_INFO`: a
    /// pattern with two captures, for example `^(.+?\.php)(/.*)$`. Default: no
    /// (nginx: `fastcgi_split_path_info`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_path_info: Option<RegexPattern>,
    /// Parameters set beside the usual ones, or in their place (nginx: `fastcgi_param`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Default: nginx's, 60 s each.
    #[serde(default, skip_serializing_if = "ProxyTimeouts::is_default")]
    pub timeouts: ProxyTimeouts,
    /// Whether responses are buffered. Default: nginx's, true (nginx: `fastcgi_buffering`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffering: Option<bool>,
    /// Whether a request is read as a whole before it is passed on. Default:
    /// nginx's, true (nginx: `fastcgi_request_buffering`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_buffering: Option<bool>,
    /// Keep connections, where the upstream says `keepalive`. Default: nginx's,
    /// false (nginx: `fastcgi_keep_conn`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_connections: bool,
    /// When another server of the upstream is asked; not on 502 and 504 (nginx:
    /// `fastcgi_next_upstream`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<Retry>>,
    /// Response headers that are not passed to clients (nginx: `fastcgi_hide_header`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hide_headers: Vec<HeaderName>,
}

/// A parameter of a FastCGI request; exactly one of `value` and `variable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawParam", into = "RawParam")]
pub struct Param {
    /// The parameter's name.
    pub name: ParamName,
    /// What it is set to.
    pub value: ParamValue,
}

/// What a parameter is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamValue {
    /// This text.
    Text(HeaderValue),
    /// What nginx knows about the request.
    Variable(Variable),
}

/// A parameter as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RawParam {
    /// The parameter's name.
    name: ParamName,
    /// This text. Exactly one of value and variable is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<HeaderValue>,
    /// What nginx knows about the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variable: Option<Variable>,
}

impl TryFrom<RawParam> for Param {
    type Error = ValueError;

    fn try_from(raw: RawParam) -> Result<Self, ValueError> {
        let value = match (raw.value, raw.variable) {
            (Some(text), None) => ParamValue::Text(text),
            (None, Some(variable)) => ParamValue::Variable(variable),
            _ => {
                return Err(ValueError {
                    rule: "a parameter has exactly one of value and variable",
                    example: "{ name: APP_ENV, value: production }",
                });
            }
        };
        let name = raw.name;
        Ok(Self { name, value })
    }
}

impl From<Param> for RawParam {
    fn from(param: Param) -> Self {
        let (value, variable) = match param.value {
            ParamValue::Text(text) => (Some(text), None),
            ParamValue::Variable(variable) => (None, Some(variable)),
        };
        Self {
            name: param.name,
            value,
            variable,
        }
    }
}
