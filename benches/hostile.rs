//! What texts made to cost time or memory cost `nxmeshctl`, beside the budget.
//!
//! Each text of `testkit::hostile_text`, 10 MB long, goes through `validate` and `render` in a
//! process of its own; time and peak memory are that process's. Words on the command line choose
//! texts by a part of their name.

use std::{
    env,
    fs::{self, File},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nxmesh_core::testkit::hostile_text::{TEXTS, Verdict};
use nxmesh_e2e::programs::Programs;

const SIZE: usize = 10_000_000;
const TIME: Duration = Duration::from_secs(1);
const MEMORY_KIB: u64 = 256 << 10;
/// Before the program and its arguments: be the one whose only child is measured.
const MEASURE: &str = "--measure";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, program, rest @ ..] = &arguments[..]
        && first == MEASURE
    {
        measured(program, rest)?;
        return Ok(ExitCode::SUCCESS);
    }
    let chosen: Vec<_> = arguments
        .iter()
        .filter(|word| !word.starts_with("--"))
        .collect();
    let programs = Programs::find()?;
    // How fast a disk makes ten thousand files is not the question.
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory)?,
        false => tempfile::tempdir()?,
    };
    let file = folder.path().join("text.yaml");
    println!("texts of {} MB; budget ≤ 1 s, ≤ 256 MB", SIZE / 1_000_000);
    println!("text | command | exit | time | peak memory | ok/over | says");
    let mut all_ok = true;
    for text in TEXTS {
        if !chosen.is_empty() && !chosen.iter().any(|word| text.name.contains(&**word)) {
            continue;
        }
        fs::write(&file, text.of(SIZE))?;
        for command in ["validate", "render"] {
            let run = run(&programs.ctl, command, &file, folder.path())?;
            let within = run.took <= TIME && run.memory_kib <= MEMORY_KIB;
            let expected = match text.verdict {
                Verdict::Accepted => run.code == 0,
                Verdict::AcceptedIfSmall => run.code == 0 || run.code == 3,
                Verdict::Refused { .. } => run.code == 3,
            };
            all_ok &= within && expected;
            let verdict = match (within, expected) {
                (true, true) => "ok",
                (false, _) => "over",
                (true, false) => "WRONG EXIT",
            };
            println!(
                "{} | {command} | {} | {:.0} ms | {:.0} MB | {verdict} | {}",
                text.name,
                run.code,
                run.took.as_secs_f64() * 1e3,
                run.memory_kib as f64 / 1024.0,
                run.says
            );
        }
    }
    println!(
        "{}",
        if all_ok {
            "all within the budget"
        } else {
            "NOT all within the budget"
        }
    );
    Ok(ExitCode::SUCCESS)
}

struct Run {
    code: i32,
    took: Duration,
    memory_kib: u64,
    /// The first words about what is wrong.
    says: String,
}

fn run(ctl: &Path, command: &str, file: &Path, folder: &Path) -> Result<Run> {
    let (out, words) = (folder.join("out"), folder.join("words"));
    let mut measure = Command::new(env::current_exe()?);
    measure
        .arg(MEASURE)
        .args([ctl, Path::new(command), Path::new("-f"), file])
        .stderr(File::create(&words)?);
    if command == "render" {
        measure.arg("--out").arg(&out);
    }
    let output = measure.output()?;
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    let said = fs::read_to_string(&words)?;
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<u64> = answer
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [code, micros, memory_kib] = numbers[..] else {
        bail!("no measure: {answer}{said}");
    };
    let line = said.lines().nth(1).or(said.lines().next());
    let line = line.unwrap_or_default().trim();
    let says: String = line.chars().take(150).collect();
    Ok(Run {
        code: i32::try_from(code)?,
        took: Duration::from_micros(micros),
        memory_kib,
        says: says.replace(&file.display().to_string(), "FILE"),
    })
}

/// Runs the program as the only child of a small process, whose peak is then the program's.
fn measured(program: &str, arguments: &[String]) -> Result<()> {
    let start = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("could not start the program")?;
    let took = start.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    // A signal ends it without a code.
    let code = status.code().unwrap_or(255);
    println!("{code} {} {}", took.as_micros(), usage.max_rss());
    Ok(())
}
