//! Sending copies of requests elsewhere.

use serde::{Deserialize, Serialize};

use crate::model::{
    UpstreamScheme, UpstreamTls,
    value::{Percent, ResourceName},
};

/// Copies of requests for another upstream, whose answers are thrown away
/// (nginx: `mirror`, since 1.13.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mirror {
    /// `none`: no copies, whatever is said further out.
    None,
    /// `to: …`: copies go there.
    To(MirrorTarget),
}

/// Where copies go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MirrorTarget {
    /// The Upstream that gets them.
    pub upstream: ResourceName,
    /// How it is spoken to. Default: `http`.
    #[serde(default, skip_serializing_if = "UpstreamScheme::is_http")]
    pub scheme: UpstreamScheme,
    /// How TLS is spoken with scheme `https`. Default: nothing is verified and the
    /// requested host is asked for, as by a location's `proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<UpstreamTls>>,
    /// How many of the requests are copied. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// Copy the body too; nginx then reads all of it before it passes the
    /// request on. Default: true.
    #[serde(default = "super::on", skip_serializing_if = "Clone::clone")]
    pub body: bool,
}
