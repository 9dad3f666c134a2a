//! The server stub of the agent protocol, written by `cargo xtask codegen`.
//!
//! Its methods move frames as [`bytes::Bytes`]; `api::grpc::codec` passes them through.

#[allow(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::all,
    clippy::clone_on_ref_ptr,
    clippy::use_self,
    reason = "generated"
)]
mod agent_service;

pub(crate) use agent_service::agent_service_server::{AgentService, AgentServiceServer};
