//! One file per command.

pub(crate) mod agent;
pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod counted;
pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod diff;
pub(crate) mod enroll;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod measured;
pub(crate) mod plan;
pub(crate) mod render;
pub(crate) mod rollout;
pub(crate) mod validate;
