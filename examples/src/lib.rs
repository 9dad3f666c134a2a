//! Programs that embed NxMesh; each file beside this folder is one.
//!
//! They use public items only. What the README shows is compiled here.

/// The code of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;
