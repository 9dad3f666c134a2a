//! One row type per table.
#![expect(
    unreachable_pub,
    reason = "what SeaORM derives is `pub` and must not be more so than its model"
)]

pub(super) mod agent;
pub(super) mod audit_entry;
pub(super) mod bootstrap_token;
pub(super) mod change;
pub(super) mod head;
pub(super) mod key_check;
pub(super) mod resource;
pub(super) mod revision;
pub(super) mod user;
