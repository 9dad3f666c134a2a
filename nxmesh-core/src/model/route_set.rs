//! Locations of a virtual host that somebody else writes.

use serde::{Deserialize, Serialize};

use super::{Document, Location};

/// A document with locations for paths that a virtual host hands over.
///
/// A team that owns a site names it in `spec.delegates` of the virtual host, with the
/// paths it is for; another team then writes these paths without a right to the site.
/// What the virtual host says counts here too, where the locations say nothing of the
/// same: as for locations of its own. Whom it keeps out, with `access`, `basic_auth`,
/// `external_auth`, `api_keys`, `satisfy`, `block`, `maintenance`, `rate_limit` or
/// `connection_limit`, they cannot let in: what the virtual host says of these is refused
/// here. Nor can they reach other paths.
pub type RouteSet = Document<RouteSetSpec>;

/// What such a document says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouteSetSpec {
    /// At least one. Their paths begin with what was handed over; no patterns, which
    /// could be for other paths too.
    pub locations: Vec<Location>,
}
