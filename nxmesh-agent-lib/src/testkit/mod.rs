//! What tests of this crate and of embedders need: a real nginx of their own.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot be set up has failed"
)]

mod ports;
mod read_only;
mod real_nginx;
mod scripted_master;
mod update;

pub use ports::free_port;
pub use read_only::ReadOnly;
pub use real_nginx::{RealNginx, freeze, nginx_binary, stop_nginx_in};
pub use scripted_master::{Heard, NotHeard, ScriptedMaster};
pub use update::{delta, offer, whole};
