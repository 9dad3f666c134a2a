//! Renders NxMesh resources into nginx configuration.

mod names;
pub mod placement;
pub mod token;
