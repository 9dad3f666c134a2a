//! Writes what can be put right without thought.

use anyhow::Result;

use crate::workspace;

pub(crate) fn run() -> Result<()> {
    workspace::run(workspace::cargo()?.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
    ]))?;
    // Last: clippy's own edits need it.
    workspace::run(workspace::cargo()?.args(["fmt", "--all"]))
}
