//! Development tasks of the workspace, run as `cargo xtask <task>`.

mod codegen;
mod workspace;

use clap::{Parser, Subcommand};

/// Development tasks of the NxMesh workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Writes the messages and the gRPC stubs anew from `nxmesh-core/proto`.
    Codegen(codegen::Options),
}

fn main() -> anyhow::Result<()> {
    match Options::parse().task {
        Task::Codegen(options) => codegen::run(&options),
    }
}
