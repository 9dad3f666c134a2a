//! Whole clusters of real processes: one master, agents, and a real nginx beside each of them.
//!
//! [`Cluster`] starts the programs that were built, enrols the agents the way a person does, and ends
//! everything when it is dropped. Clusters share nothing, so many of them may run at once. The tests of
//! this package and `nxmesh-demo` are made of it.
//!
//! What is asked of nginx goes through [`http`]: requests written by hand, so that a test says itself
//! which connection is new, which name is asked for, and what counts as a failure.

pub mod backend;
pub mod certificate;
pub mod cluster;
pub mod ctl;
pub mod daemon;
pub mod http;
pub mod load;
pub mod master;
pub mod node;
pub mod port;
pub mod programs;
pub mod sandbox;
pub mod tls;
pub mod wait;

pub use cluster::Cluster;
