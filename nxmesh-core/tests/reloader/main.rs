//! The suite of the reloader contract, on an imitation of nginx that can be
//! broken at will; real reloaders run it on a real nginx.

mod saboteurs;
mod toy;

nxmesh_core::reloader_conformance!(toy::Sound);
