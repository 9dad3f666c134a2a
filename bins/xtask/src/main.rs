//! Development tasks of the workspace, run as `cargo xtask <task>`.
//!
//! One module per task; this file only says which there are.

mod bench;
mod closing_lines;
mod codegen;
mod demo;
mod fix;
mod fuzz;
mod layers;
mod nginx_next;
mod services;
mod test;
mod verify;
mod workspace;

use std::process::ExitCode;

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
    /// Starts a master and agents, each with a real nginx, and proves what they do; stays up to be tried
    Demo(demo::Options),
    /// Builds everything and runs all tests, installing nginx first where it is missing
    Test(test::Options),
    /// Runs benchmarks, which print figures beside budgets, installing what they compare against
    Bench(bench::Options),
    /// Runs what must hold for any text on ever new ones, led by the code they reach
    Fuzz(fuzz::Options),
    /// Looks at format, lints, documentation, layers, generated code and dependencies; writes nothing
    Verify,
    /// Formats the code and applies what clippy suggests
    Fix,
    /// Writes the messages and the gRPC stubs anew from `nxmesh-core/proto`
    Codegen(codegen::Options),
    /// Checks that no crate depends on what its layer forbids
    Layers,
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> anyhow::Result<ExitCode> {
    match Options::parse().task {
        Task::Test(options) => return test::run(&options),
        Task::Demo(options) => demo::run(&options)?,
        Task::Bench(options) => bench::run(&options)?,
        Task::Fuzz(options) => fuzz::run(&options)?,
        Task::Verify => verify::run()?,
        Task::Fix => fix::run()?,
        Task::Codegen(options) => codegen::run(&options)?,
        Task::Layers => layers::run()?,
    }
    Ok(ExitCode::SUCCESS)
}
