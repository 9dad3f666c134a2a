//! The conformance suite of the contract.

use nxmesh_core::testkit::renderer::Rig;
use nxmesh_render::HandlebarsRenderer;

struct Handlebars;

impl Rig for Handlebars {
    type Subject = HandlebarsRenderer;

    fn start() -> HandlebarsRenderer {
        HandlebarsRenderer::new()
    }
}

nxmesh_core::renderer_conformance!(Handlebars);
