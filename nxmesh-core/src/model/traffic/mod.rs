//! How requests are treated: what a virtual host, a location and a policy can
//! all say.
//!
//! [`TrafficSettings`] has one field per subject, each with a file of its own
//! here. A [`VirtualHostSpec`](super::VirtualHostSpec) and a
//! [`Location`](super::Location) hold them as [`Traffic`]; in documents the
//! fields stand among their own. Most of them say nothing, so `Traffic` is one
//! pointer then.

mod access;
mod auth;
mod block;
mod cache;
mod compression;
mod cors;
mod errors;
mod limits;
mod log;
mod mirror;
mod real_ip;
mod split;

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{
    ResponseHeader,
    value::{ResourceName, SizeBytes},
};
pub use access::Access;
pub use auth::{
    ApiKeys, AuthCache, AuthService, BasicAuth, BasicUser, BasicUsers, ExternalAuth, KeyHolder,
    KeyHolders, KeyPlace, Satisfy,
};
pub use block::{Block, Maintenance};
pub use cache::{Cache, CacheRules, CacheValidity, RequestPart, StaleCase};
pub use compression::{Gzip, GzipBuffers};
pub use cors::Cors;
pub use errors::{ErrorAnswer, ErrorPage, ErrorUpstream};
pub use limits::{
    Bandwidth, ConnectionCount, ConnectionLimit, LimitKey, LimitLogLevel, RateLimit, RequestLimit,
    RequestRate,
};
pub use log::{AccessLog, ErrorLog, ErrorLogLevel, LogEscape, LogSkip, LogStyle, LogTarget};
pub use mirror::{Mirror, MirrorTarget};
pub use real_ip::{RealIp, RealIpSource};
pub(super) use split::Splitting;

/// For switches that are on unless said otherwise.
const fn on() -> bool {
    true
}

/// A field that may say nothing.
trait Unset: Sized {
    const UNSET: Self;
    fn is_unset(&self) -> bool;
}

impl<T> Unset for Option<T> {
    const UNSET: Self = None;
    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl<T> Unset for Vec<T> {
    const UNSET: Self = Self::new();
    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// How requests are treated. Every field may say nothing.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct TrafficSettings {
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Unset::is_unset")]
                pub $field: $type,
            )*
        }

        impl TrafficSettings {
            /// Says nothing.
            const UNSET: Self = Self { $($field: Unset::UNSET,)* };
            /// The names of the fields in documents.
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Whether it says nothing.
            #[must_use]
            pub fn is_unset(&self) -> bool {
                $(Unset::is_unset(&self.$field))&&*
            }

            /// Takes what `lower` says about the fields this says nothing about.
            fn fill_from(&mut self, lower: &Self) {
                $(
                    if self.$field.is_unset() {
                        self.$field.clone_from(&lower.$field);
                    }
                )*
            }

            /// Reads the value of `field` out of a mapping; `false` if there is
            /// no such field, and then nothing was read.
            fn read<'de, A: de::MapAccess<'de>>(
                &mut self,
                field: &str,
                map: &mut A,
            ) -> Result<bool, A::Error> {
                match field {
                    $(stringify!($field) => self.$field = map.next_value()?,)*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}

settings! {
    /// Policies whose settings count where nothing nearer says otherwise; at
    /// most 20. Not in a policy itself.
    policies: Vec<ResourceName>,
    /// Snippets that stand here: of the context `server` for a virtual host, of
    /// `location` for a location; at most 20. Not in a policy.
    snippets: Vec<ResourceName>,
    /// Headers added to responses, also to those that nginx makes itself. Those of a
    /// location and of the virtual host are both sent; of two with one name the nearer
    /// counts (nginx: `add_header`).
    response_headers: Vec<ResponseHeader>,
    /// The largest request body; 0 for no limit. Default: nginx's, 1m (nginx: `client_max_body_size`).
    max_body_size: Option<SizeBytes>,
    /// Which clients are let in, by their address. Default: all.
    access: Option<Box<Access>>,
    /// Another service that decides about requests. Default: none.
    external_auth: Option<Box<ExternalAuth>>,
    /// Who knows a password. Default: nobody is asked.
    basic_auth: Option<Box<BasicAuth>>,
    /// Which programs show a key. Default: none is asked for.
    api_keys: Option<Box<ApiKeys>>,
    /// Whether one of `access`, `basic_auth` and `external_auth` is enough. Default: `all`.
    satisfy: Option<Satisfy>,
    /// Clients that are turned away. Default: none.
    block: Option<Box<Block>>,
    /// Answers everybody with 503. Default: no.
    maintenance: Option<Box<Maintenance>>,
    /// Which pages of other origins may read responses. Default: none.
    cors: Option<Box<Cors>>,
    /// What is sent instead of nginx's error pages, at most 20. Default: those.
    error_pages: Vec<ErrorPage>,
    /// Whether `error_pages` also count for errors that upstreams answer.
    /// Default: false (nginx: `proxy_intercept_errors`, `fastcgi_intercept_errors`,
    /// `grpc_intercept_errors`).
    intercept_errors: Option<bool>,
    /// Keeping responses of upstreams. Default: no.
    cache: Option<Box<Cache>>,
    /// Copies of requests for another upstream. Default: none.
    mirror: Option<Box<Mirror>>,
    /// Where the client's address comes from. Not in a location, which nginx
    /// looks for later. Default: the connection.
    real_ip: Option<Box<RealIp>>,
    /// What is written down about requests. Default: what the `http` block says.
    access_log: Option<Box<AccessLog>>,
    /// What is written down about errors. Default: what the `http` block says.
    error_log: Option<Box<ErrorLog>>,
    /// How many requests are taken per time. Default: any.
    rate_limit: Option<Box<RateLimit>>,
    /// How many connections are taken at a time. Default: any.
    connection_limit: Option<Box<ConnectionLimit>>,
    /// How fast responses are sent. Default: as fast as they can be.
    bandwidth: Option<Box<Bandwidth>>,
    /// Compressing responses. Default: no.
    gzip: Option<Box<Gzip>>,
}

impl TrafficSettings {
    /// What counts where this and `lower` both apply: this, and `lower` for
    /// every field this says nothing about. Response headers are joined by name.
    #[must_use]
    pub fn over(&self, lower: &Self) -> Self {
        let mut joined = self.clone();
        let named = |header: &ResponseHeader| {
            let name = header.name.as_str();
            self.response_headers
                .iter()
                .any(|own| own.name.as_str().eq_ignore_ascii_case(name))
        };
        let others = lower.response_headers.iter();
        joined
            .response_headers
            .extend(others.filter(|header| !named(header)).cloned());
        joined.fill_from(lower);
        joined
    }
}

/// [`TrafficSettings`] that mostly say nothing: one pointer then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic(Option<Box<TrafficSettings>>);

impl Traffic {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.0.as_ref().is_none_or(|settings| settings.is_unset())
    }

    /// The settings, to be changed.
    pub fn to_mut(&mut self) -> &mut TrafficSettings {
        self.0.get_or_insert_default()
    }
}

impl From<TrafficSettings> for Traffic {
    fn from(settings: TrafficSettings) -> Self {
        Self((!settings.is_unset()).then(|| Box::new(settings)))
    }
}

impl Deref for Traffic {
    type Target = TrafficSettings;

    fn deref(&self) -> &TrafficSettings {
        static UNSET: TrafficSettings = TrafficSettings::UNSET;
        self.0.as_deref().unwrap_or(&UNSET)
    }
}

impl Serialize for Traffic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Traffic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        TrafficSettings::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests;
