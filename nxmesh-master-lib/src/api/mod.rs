//! What the outside speaks to: agents over gRPC, people and tools over REST.

pub mod grpc;
pub mod rest;
