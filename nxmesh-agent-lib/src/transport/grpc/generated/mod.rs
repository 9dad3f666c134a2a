//! The client stub of the agent protocol, written by `cargo xtask codegen`.
//!
//! Its methods move frames as [`bytes::Bytes`]; `transport::grpc::codec` passes them through.

#[allow(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::all,
    clippy::use_self,
    reason = "generated"
)]
mod agent_service;

pub(crate) use agent_service::agent_service_client::AgentServiceClient;
