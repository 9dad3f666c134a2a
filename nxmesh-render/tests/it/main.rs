//! Tests of what the crate offers, with a real nginx where nginx decides.
//!
//! nginx is `NXMESH_TEST_NGINX`, else the one of this machine; golden trees are
//! shown to a newer one too, `NXMESH_TEST_NGINX_NEXT`, which `cargo xtask test`
//! builds. Without one those tests say so and pass, unless `NXMESH_TEST_REQUIRE`
//! names `nginx` or `nginx-next`.

#![expect(clippy::expect_used, reason = "what a test cannot do without fails it")]

mod answers;
mod asked_over_tls;
mod authority;
mod backends;
mod cache;
mod conformance;
mod control_characters;
mod delegation;
mod determinism;
mod echo;
mod fastcgi_server;
mod fuzz;
mod golden;
mod guards;
mod host;
mod http3;
mod import;
mod import_rig;
mod import_servers;
mod import_values;
mod logs;
mod nginx;
mod nginx_answers;
mod nginx_reads_back;
mod placement;
mod proxy;
mod purity;
mod reload;
mod resolving;
mod routes;
mod site;
mod stream;
mod templates;
mod tls;
mod traffic;
mod treatment;
mod versions;
