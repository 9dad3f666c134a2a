//! The renderer contract: a plain renderer keeps it, and every saboteur is caught.

mod saboteurs;
#[expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
mod toy;

use nxmesh_core::testkit::renderer::Rig;
use toy::{Fault, Toy};

struct Sound;

impl Rig for Sound {
    type Subject = Toy;

    fn start() -> Toy {
        Toy(Fault::None)
    }
}

nxmesh_core::renderer_conformance!(Sound);
