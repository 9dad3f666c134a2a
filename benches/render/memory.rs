//! What ten thousand virtual hosts take in memory.

use std::fs;

use anyhow::{Context as _, Result};
use nxmesh_core::{
    contract::renderer::{RenderSettings, Renderer as _},
    model::{Resource, ResourceSet},
};
use nxmesh_render::HandlebarsRenderer;

/// So many fill the holes that earlier work left; they are not counted.
const UNCOUNTED: usize = 2;
const COUNTED: usize = 6;

/// Bytes of the model, and of a rendered tree: how much the process grows with
/// each more of them.
pub(crate) fn of(
    renderer: &HandlebarsRenderer,
    resources: &ResourceSet,
    settings: &RenderSettings,
) -> Result<(usize, usize)> {
    // Both are kept, or the second would fit into what the first gave back.
    let (model, _models) = growth(|| {
        let copies = resources.iter().map(|(_, one)| Resource::clone(one));
        Ok(copies.collect::<ResourceSet>())
    })?;
    let (tree, _trees) = growth(|| Ok(renderer.render(resources, settings)?))?;
    Ok((model, tree))
}

/// How much the process grows with each, and what was made.
fn growth<T>(make: impl Fn() -> Result<T>) -> Result<(usize, Vec<T>)> {
    let mut kept = Vec::new();
    for _ in 0..UNCOUNTED {
        kept.push(make()?);
    }
    let before = resident()?;
    for _ in 0..COUNTED {
        kept.push(make()?);
    }
    let grown = resident()?.saturating_sub(before);
    Ok((grown / COUNTED, kept))
}

/// The memory of this process that is in use, in bytes.
fn resident() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: usize = kib.context("Linux tells no VmRSS")?.trim().parse()?;
    Ok(kib << 10)
}
