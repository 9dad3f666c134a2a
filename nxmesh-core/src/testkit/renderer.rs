//! The conformance suite of the renderer.
