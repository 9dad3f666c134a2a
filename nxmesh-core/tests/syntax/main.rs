//! The syntax of nginx configuration, as nginx itself reads it, and snippets of it.
//!
//! nginx is `NXMESH_TEST_NGINX`, else the one of this machine. Without one those
//! tests say so and pass, unless `NXMESH_TEST_REQUIRE` names `nginx`.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "what a test cannot do without fails it"
)]

mod agrees;
mod bounds;
mod nginx;
mod reads_back;
mod snippet;
mod texts;
mod tree;
