//! The programs that were built, and nginx.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

const MASTER: &str = "nxmesh-master";
const AGENT: &str = "nxmesh-agent";
const CTL: &str = "nxmeshctl";

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `nxmesh-master`
    pub master: PathBuf,
    /// `nxmesh-agent`
    pub agent: PathBuf,
    /// `nxmeshctl`
    pub ctl: PathBuf,
    /// `nginx`: the one that `NXMESH_TEST_NGINX` names, else Debian's.
    pub nginx: PathBuf,
}

impl Programs {
    /// Finds the programs beside this one, where cargo puts them, and builds them if they are not
    /// there. `cargo xtask test` and `demo` build them first: what is there is not built again.
    ///
    /// # Errors
    ///
    /// When nginx is missing or the programs cannot be built.
    pub fn find() -> Result<Self> {
        static FOUND: OnceLock<Result<Programs, String>> = OnceLock::new();
        FOUND
            .get_or_init(|| Self::look().map_err(|error| format!("{error:#}")))
            .clone()
            .map_err(|error| anyhow!(error))
    }

    fn look() -> Result<Self> {
        let own = std::env::current_exe().context("could not tell where this program is")?;
        let folder = own
            .ancestors()
            .skip(1)
            // Tests and benchmarks lie one folder deeper than programs.
            .find(|folder| !folder.ends_with("deps"))
            .context("this program lies in no folder")?;
        // What is released is built in two profiles.
        let agents = match folder.parent() {
            Some(target) if folder.ends_with("release") => target.join("agent"),
            _ => folder.to_owned(),
        };
        let programs = Self {
            master: folder.join(MASTER),
            agent: agents.join(AGENT),
            ctl: folder.join(CTL),
            nginx: nginx()?,
        };
        for (program, package) in [
            (&programs.master, MASTER),
            (&programs.agent, AGENT),
            (&programs.ctl, CTL),
        ] {
            if !program.is_file() {
                build(program, package)?;
            }
        }
        Ok(programs)
    }
}

fn nginx() -> Result<PathBuf> {
    let named = std::env::var_os("NXMESH_TEST_NGINX").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    named
        .into_iter()
        .chain(std::env::split_paths(&path).map(|folder| folder.join("nginx")))
        // Debian keeps it here, which an ordinary user's PATH leaves out.
        .chain([PathBuf::from("/usr/sbin/nginx")])
        .find(|candidate| candidate.is_file())
        .context("nginx is not installed; install it, or name it in NXMESH_TEST_NGINX")
}

/// Builds what lies nowhere yet, in the profile that the folder of `program` is called after.
fn build(program: &Path, package: &str) -> Result<()> {
    let folder = program.parent().context("a program lies in a folder")?;
    let target = folder.parent().context("the programs lie in no folder")?;
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--package", package])
        .args(["--profile", profile, "--target-dir"])
        .arg(target)
        .stdin(Stdio::null())
        .status()
        .context("could not start cargo")?;
    ensure!(status.success(), "could not build {package}: {status}");
    Ok(())
}
