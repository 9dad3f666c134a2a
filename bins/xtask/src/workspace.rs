//! Where the workspace is and how its tools are called.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The folder of the workspace's `Cargo.toml`.
///
/// cargo tells a program it runs where its package is; the value of build time would be wrong for a
/// second clone that shares the target folder.
pub(crate) fn root() -> Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = package.join("../..");
    root.canonicalize()
        .with_context(|| format!("could not find the workspace at {}", root.display()))
}

/// The folder cargo builds in, where this program lies.
pub(crate) fn target() -> Result<PathBuf> {
    let own = std::env::current_exe().context("could not tell where this program is")?;
    let target = own.ancestors().nth(2);
    Ok(target.context("this program lies in no folder")?.to_owned())
}

/// The cargo that runs this program, or the one on the path.
pub(crate) fn cargo() -> Result<Command> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root()?);
    Ok(command)
}

/// Whether `cargo <name>` exists, as a subcommand of cargo's or a program that was installed.
pub(crate) fn has_cargo_command(name: &str) -> Result<bool> {
    let mut command = cargo()?;
    command.args([name, "--version"]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("could not start cargo")?;
    Ok(output.status.success())
}

/// A program of this name in a folder of `PATH` or where system daemons live.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // Debian keeps nginx here, which an ordinary user's PATH leaves out.
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Runs the command with inherited output and without standard input.
///
/// # Errors
///
/// When it cannot be started or does not end with success; the text names the command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = command_line(command);
    eprintln!("$ {line}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("could not start `{line}`"))?;
    ensure!(status.success(), "`{line}` failed: {status}");
    Ok(())
}

/// Runs the command and returns its standard output.
///
/// # Errors
///
/// As [`run`], with the command's standard error in the text.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start `{line}`"))?;
    ensure!(
        output.status.success(),
        "`{line}` failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no UTF-8"))
}

/// The command as a person would type it, the program by its bare name.
pub(crate) fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
