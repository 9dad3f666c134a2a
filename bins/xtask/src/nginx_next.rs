//! A second nginx for tests, newer than Debian's, built from sources.
//!
//! The sources lie in the crate `nginx-src`, which cargo fetches and verifies by the lock file in
//! `bins/xtask/nginx`. A change of that file, or of the options below, makes another nginx.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::{services, workspace};

/// Tells tests where it is; when set before, that one is taken and none is built.
pub(crate) const VARIABLE: &str = "NXMESH_TEST_NGINX_NEXT";

/// What NxMesh can write, this nginx can read.
const OPTIONS: [&str; 18] = [
    "--with-file-aio",
    "--with-http_addition_module",
    "--with-http_auth_request_module",
    "--with-http_gunzip_module",
    "--with-http_gzip_static_module",
    "--with-http_realip_module",
    "--with-http_secure_link_module",
    "--with-http_slice_module",
    "--with-http_ssl_module",
    "--with-http_stub_status_module",
    "--with-http_sub_module",
    "--with-http_v2_module",
    "--with-http_v3_module",
    "--with-stream",
    "--with-stream_realip_module",
    "--with-stream_ssl_module",
    "--with-stream_ssl_preread_module",
    "--with-threads",
];

/// What the build takes, as Debian calls it.
const PACKAGES: [&str; 6] = [
    "gcc",
    "libc6-dev",
    "libpcre2-dev",
    "libssl-dev",
    "make",
    "zlib1g-dev",
];

/// Where the second nginx is. Builds it if that was not done before, which takes half a minute.
///
/// # Errors
///
/// When it cannot be built; the text says what to install.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).map(PathBuf::from) {
        ensure!(
            named.is_file(),
            "{VARIABLE} names {}, which is no file",
            named.display()
        );
        return Ok(named);
    }
    let manifest = workspace::root()?.join("bins/xtask/nginx/Cargo.toml");
    let lock = manifest.with_file_name("Cargo.lock");
    let lock =
        fs::read_to_string(&lock).with_context(|| format!("could not read {}", lock.display()))?;
    let mut made_of = DefaultHasher::new();
    (lock, OPTIONS).hash(&mut made_of);
    let folder = workspace::target()?
        .join("nginx-next")
        .join(format!("{:016x}", made_of.finish()));
    let nginx = folder.join("nginx");
    if nginx.is_file() {
        return Ok(nginx);
    }
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    let sources = sources(&manifest)?;
    println!("building a second nginx from {}", sources.display());
    let Err(first) = build(&sources, &nginx) else {
        return Ok(nginx);
    };
    let packages = PACKAGES.join(" ");
    let cannot = || {
        format!(
            "the second nginx cannot be built; install {packages}: `apt-get install -y \
             --no-install-recommends {packages}` as root, or your system's packages, or name an \
             nginx in {VARIABLE}"
        )
    };
    if !services::may_install() {
        return Err(first).with_context(cannot);
    }
    services::install(&PACKAGES)?;
    build(&sources, &nginx).with_context(cannot)?;
    Ok(nginx)
}

/// The folder of nginx's sources, fetched if need be.
fn sources(manifest: &Path) -> Result<PathBuf> {
    let mut command = workspace::cargo()?;
    command
        .args(["metadata", "--locked", "--format-version", "1"])
        // Or crates for other systems are fetched too.
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .arg("--manifest-path")
        .arg(manifest);
    let metadata: serde_json::Value = serde_json::from_str(&workspace::capture(&mut command)?)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages
        .filter(|package| package["name"] == "nginx-src")
        .find_map(|package| package["manifest_path"].as_str());
    let found = Path::new(found.context("cargo names no crate nginx-src")?);
    Ok(found.with_file_name("nginx"))
}

/// Builds in a folder of its own, so that nothing half done is ever found, nor done by two at once.
fn build(sources: &Path, nginx: &Path) -> Result<()> {
    let beside = nginx.parent().context("nginx lies in no folder")?;
    let work = tempfile::tempdir_in(beside).context("could not make a folder to build in")?;
    let folder = work.path();
    let within = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.current_dir(folder).args(arguments);
        quietly(&mut command)
    };
    let copy = ["-R", &format!("{}/.", sources.display()), "."].map(str::to_owned);
    within("cp", &copy.each_ref().map(String::as_str))?;
    within("sh", &[&["auto/configure"], &OPTIONS[..]].concat())?;
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    within("make", &["-j", &jobs.to_string()])?;
    fs::rename(folder.join("objs/nginx"), nginx).context("could not keep the nginx that was built")
}

/// Runs a command of which only the end of a failure is worth reading.
fn quietly(command: &mut Command) -> Result<()> {
    let line = workspace::command_line(command);
    eprintln!("$ {line}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start `{line}`"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    let end = &lines[lines.len().saturating_sub(30)..];
    let status = output.status;
    ensure!(
        status.success(),
        "`{line}` failed: {status}\n{}",
        end.join("\n")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failing_build_says_last_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo first; echo the library is missing >&2; exit 3"]);
        let error = quietly(&mut command).unwrap_err().to_string();
        assert!(error.contains("the library is missing"), "{error}");
    }

    #[test]
    fn half_an_nginx_is_never_found() {
        let folder = tempfile::tempdir().unwrap();
        let sources = folder.path().join("sources");
        fs::create_dir_all(sources.join("auto")).unwrap();
        // Makes the program and fails after.
        fs::write(
            sources.join("auto/configure"),
            "mkdir objs && echo x >objs/nginx && exit 1\n",
        )
        .unwrap();
        let nginx = folder.path().join("nginx");
        build(&sources, &nginx).unwrap_err();
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!((nginx.exists(), left.len()), (false, 1));
    }
}
