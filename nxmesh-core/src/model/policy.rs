//! Settings with a name, to be attached to virtual hosts and locations.

use super::{Document, TrafficSettings};

/// A policy document.
///
/// A virtual host or location names policies in `policies`. Where several say
/// something about the same field, the nearest counts: what the location says
/// itself, then its policies in the order they are named, then the virtual
/// host, then its policies. A field counts as a whole: lists are not joined,
/// but for `response_headers`, which are joined by name.
pub type Policy = Document<PolicySpec>;

/// What a policy says: any field of [`TrafficSettings`] but `policies`.
pub type PolicySpec = TrafficSettings;
