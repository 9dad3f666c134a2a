//! Everything the NxMesh agent does, minus the process: keeps one nginx at the
//! configuration its master wants.

pub mod apply;
pub mod cache;
pub mod nginx;
