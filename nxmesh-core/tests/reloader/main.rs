//! The suite of the reloader contract, on an imitation of nginx that can be
//! broken at will; real reloaders run it on a real nginx.

mod saboteurs;
#[expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failed expectation is a failed test"
)]
mod toy;

nxmesh_core::reloader_conformance!(toy::Sound);
