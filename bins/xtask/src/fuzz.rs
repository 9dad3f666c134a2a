//! Runs the fuzz targets of `nxmesh-render/fuzz` with libFuzzer.
//!
//! cargo-fuzz asks for a nightly compiler, but only its sanitizers need one. The
//! code is safe Rust, so what is looked for are panics, and the instrumentation
//! that tells libFuzzer which code a text reaches is an option of every compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{services, workspace};

/// The targets, and where texts to begin with lie, below `nxmesh-render`.
const TARGETS: [(&str, &str); 6] = [
    ("document", "tests/golden"),
    ("import", "tests/import"),
    ("quoting", "fuzz/seeds/quoting"),
    ("snippet", "fuzz/seeds/snippet"),
    ("syntax", "tests/golden"),
    ("template", "templates"),
];

/// Tells libFuzzer which code was reached, and what was compared with what.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// One of document, import, quoting, snippet, syntax and template; default: one after the other
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Runs the target on this file alone, as one that was found before
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

/// Builds the targets and runs them; what they found is kept below the target folder.
pub(crate) fn run(options: &Options) -> Result<()> {
    services::ensure_c_compiler()?;
    services::ensure_cxx_compiler()?;
    let chosen: Vec<_> = TARGETS
        .into_iter()
        .filter(|(name, _)| {
            options
                .target
                .as_deref()
                .is_none_or(|wanted| wanted == *name)
        })
        .collect();
    ensure!(
        !chosen.is_empty(),
        "there is no such target; there are {}",
        TARGETS.map(|(name, _)| name).join(", ")
    );
    let package = workspace::root()?.join("nxmesh-render");
    let work = workspace::target()?.join("fuzz");
    let programs = build(&package, &work, &chosen)?;

    let mut failed = Vec::new();
    for (name, seeds) in chosen {
        println!("== {name}");
        let mut command = Command::new(programs.join(name));
        if let Some(input) = &options.input {
            command.arg(input);
        } else {
            let corpus = work.join("corpus").join(name);
            let found = work.join("found");
            for folder in [&corpus, &found] {
                fs::create_dir_all(folder)
                    .with_context(|| format!("could not make {}", folder.display()))?;
            }
            command
                .arg(&corpus)
                .arg(package.join(seeds))
                .arg(format!("-max_total_time={}", options.seconds))
                .arg(format!("-artifact_prefix={}/{name}-", found.display()))
                .args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=20000"]);
        }
        if let Err(error) = workspace::run(&mut command) {
            println!("{error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!(
            "something was found by {}; libFuzzer has said where it lies, and `cargo xtask fuzz \
             TARGET --input FILE` runs it again",
            failed.join(", ")
        );
    }
    println!("== nothing was found");
    Ok(())
}

/// Gives the folder of the programs.
fn build(package: &Path, work: &Path, targets: &[(&str, &str)]) -> Result<PathBuf> {
    // Named, so that what runs while building is not instrumented.
    let host = host()?;
    let mut command = workspace::cargo()?;
    command
        .args(["build", "--release", "--manifest-path"])
        .arg(package.join("fuzz/Cargo.toml"))
        .args(["--target", &host])
        .arg("--target-dir")
        .arg(work)
        .env("RUSTFLAGS", format!("{INSTRUMENTATION} --cfg fuzzing"));
    for (name, _) in targets {
        command.args(["--bin", name]);
    }
    workspace::run(&mut command)?;
    Ok(work.join(host).join("release"))
}

/// What this compiler makes programs for when it is told nothing.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = workspace::capture(Command::new(rustc).arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_its_file_and_texts_to_begin_with() {
        let package = workspace::root().unwrap().join("nxmesh-render");
        let files = fs::read_dir(package.join("fuzz/fuzz_targets")).unwrap();
        let mut names: Vec<_> = files
            .map(|file| file.unwrap().path().file_stem().unwrap().to_owned())
            .collect();
        names.sort();
        assert_eq!(names, TARGETS.map(|(name, _)| name));
        for (_, seeds) in TARGETS {
            assert!(fs::read_dir(package.join(seeds)).unwrap().next().is_some());
        }
    }
}
