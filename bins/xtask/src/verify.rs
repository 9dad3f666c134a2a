//! Everything that can be found wrong without running a test. Only looks.

use anyhow::{Result, bail};

use crate::{codegen, layers, workspace};

type Check = fn() -> Result<()>;

/// Cheap checks first.
const CHECKS: [(&str, Check); 6] = [
    ("format", format),
    ("layers", layers::run),
    ("generated code", generated_code),
    ("lints", lints),
    ("documentation", documentation),
    ("dependencies", dependencies),
];

/// Runs every check, also after one has failed.
pub(crate) fn run() -> Result<()> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        println!("== {name}");
        if let Err(error) = check() {
            println!("{error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("not in order: {}", failed.join(", "));
    }
    println!("== all in order");
    Ok(())
}

fn format() -> Result<()> {
    workspace::run(workspace::cargo()?.args(["fmt", "--all", "--check"]))
}

fn generated_code() -> Result<()> {
    codegen::run(&codegen::Options { check: true })
}

fn lints() -> Result<()> {
    let mut command = workspace::cargo()?;
    command.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    workspace::run(&mut command)
}

fn documentation() -> Result<()> {
    let mut command = workspace::cargo()?;
    command
        .args(["doc", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings");
    workspace::run(&mut command)
}

fn dependencies() -> Result<()> {
    if !workspace::has_cargo_command("deny")? {
        println!(
            "cargo-deny is not installed: licences, banned crates and advisories are NOT checked \
             (`cargo install --locked cargo-deny`)"
        );
        return Ok(());
    }
    let mut command = workspace::cargo()?;
    command.args([
        "deny",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    workspace::run(&mut command)?;
    // Only the list of advisories comes from outside; a machine without a net can do the rest.
    if let Err(error) = workspace::run(workspace::cargo()?.args(["deny", "fetch", "db"])) {
        println!("{error:#}: advisories are NOT checked");
        return Ok(());
    }
    workspace::run(workspace::cargo()?.args(["deny", "check", "advisories"]))
}
