//! The programs that tests and the demo need from the system.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A program and where it comes from.
struct Service {
    name: &'static str,
    /// Names another copy of the program, which then need not be installed.
    variable: Option<&'static str>,
    debian_package: &'static str,
    /// A file that tells that it is there, where it is no program.
    file: Option<&'static str>,
}

const SERVICES: [Service; 7] = [
    Service {
        name: "nginx",
        variable: Some("NXMESH_TEST_NGINX"),
        debian_package: "nginx-light",
        file: None,
    },
    // Debian's nginx has streams as a module of its own.
    Service {
        name: "nginx-stream",
        variable: Some("NXMESH_TEST_NGINX"),
        debian_package: "libnginx-mod-stream",
        file: Some("/usr/lib/nginx/modules/ngx_stream_module.so"),
    },
    // For what is driven through systemd's bus.
    Service {
        name: "dbus-daemon",
        variable: None,
        debian_package: "dbus-daemon",
        file: None,
    },
    // What a container engine lists processes with.
    Service {
        name: "ps",
        variable: None,
        debian_package: "procps",
        file: None,
    },
    // Kills a process before a certain system call, or lets the call fail.
    Service {
        name: "strace",
        variable: None,
        debian_package: "strace",
        file: None,
    },
    // Reads the metrics as Prometheus does; no server of it is started.
    Service {
        name: "promtool",
        variable: None,
        debian_package: "prometheus",
        file: None,
    },
    // Looks at the agent's unit file; nothing is run by it.
    Service {
        name: "systemd-analyze",
        variable: None,
        debian_package: "systemd",
        file: None,
    },
];

/// Makes sure that the named services can be started by whoever needs them.
///
/// What is missing is installed where that is possible: as root, with apt-get. The package's own
/// server is kept from starting; it would hold port 80 and confuse everybody.
///
/// # Errors
///
/// When a service is missing and cannot be installed; the text says what to install and how.
pub(crate) fn ensure(names: &[&str]) -> Result<()> {
    for name in names {
        let service = SERVICES
            .iter()
            .find(|service| service.name == *name)
            .with_context(|| format!("no service is called `{name}`"))?;
        let means = Means::of_this_machine(service);
        match means.decide(service)? {
            Step::Nothing => {}
            Step::Install => {
                install(&[service.debian_package])?;
                if !service.is_there() {
                    bail!("{} brought no {}", service.debian_package, service.name);
                }
            }
        }
    }
    Ok(())
}

/// Makes sure that the C parts of some dependencies can be compiled.
///
/// # Errors
///
/// When there is no C compiler; the text says what to install and how.
pub(crate) fn ensure_c_compiler() -> Result<()> {
    ensure_compiler(
        "C compiler (cc)",
        "CC",
        &["cc", "gcc", "clang"],
        "gcc libc6-dev",
    )
}

/// Makes sure that libFuzzer can be compiled.
///
/// # Errors
///
/// When there is no C++ compiler; the text says what to install and how.
pub(crate) fn ensure_cxx_compiler() -> Result<()> {
    ensure_compiler(
        "C++ compiler (c++)",
        "CXX",
        &["c++", "g++", "clang++"],
        "g++",
    )
}

fn ensure_compiler(what: &str, variable: &str, names: &[&str], packages: &str) -> Result<()> {
    let named = std::env::var_os(variable).is_some();
    if named
        || names
            .iter()
            .any(|name| workspace::find_program(name).is_some())
    {
        return Ok(());
    }
    bail!(
        "no {what} found; install one: `apt-get install -y --no-install-recommends {packages}` as \
         root, or your system's package, or name one in {variable}"
    )
}

impl Service {
    fn is_there(&self) -> bool {
        match self.file {
            Some(file) => Path::new(file).exists(),
            None => workspace::find_program(self.name).is_some(),
        }
    }
}

/// What there is to work with.
struct Means {
    present: bool,
    may_install: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Install,
}

impl Means {
    fn of_this_machine(service: &Service) -> Self {
        let named = service
            .variable
            .and_then(std::env::var_os)
            .map(PathBuf::from);
        Self {
            present: named.is_some_and(|path| path.exists()) || service.is_there(),
            may_install: may_install(),
        }
    }

    fn decide(&self, service: &Service) -> Result<Step> {
        let Service {
            name,
            variable,
            debian_package,
            ..
        } = service;
        if self.present {
            return Ok(Step::Nothing);
        }
        if self.may_install {
            return Ok(Step::Install);
        }
        let or = variable.map_or_else(String::new, |it| format!(", or name the program in {it}"));
        bail!(
            "{name} is not installed; install the package {debian_package}: `apt-get install -y \
             --no-install-recommends {debian_package}` as root, or your system's package{or}"
        )
    }
}

/// Whether packages can be installed here: as root, with apt-get.
pub(crate) fn may_install() -> bool {
    nix::unistd::geteuid().is_root() && workspace::find_program("apt-get").is_some()
}

/// Installs Debian packages and starts nothing that is in them.
///
/// # Errors
///
/// When apt-get fails.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    println!("something is missing, installing {names}");
    // A list that cannot be brought up to date may still name the package.
    if let Err(error) = workspace::run(apt_get().args(["update", "-q"])) {
        eprintln!("warning: {error:#}");
    }
    let quiet = StartsForbidden::new(Path::new("/usr/sbin/policy-rc.d"))?;
    let installed = workspace::run(
        apt_get()
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(packages),
    );
    drop(quiet);
    installed.with_context(|| format!("could not install {names}"))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Another apt-get may be at work, for example of a machine that was just started.
        .args(["-o", "DPkg::Lock::Timeout=120"]);
    command
}

/// While it lives, packages that are installed do not start their services.
///
/// invoke-rc.d and deb-systemd-invoke ask the file and take the exit status 101 as "forbidden"
/// (invoke-rc.d(8)). A file that is there already is left alone: it is the machine's own policy.
struct StartsForbidden {
    ours: Option<PathBuf>,
}

impl StartsForbidden {
    fn new(path: &Path) -> Result<Self> {
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(path);
        let mut file = match created {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Ok(Self { ours: None });
            }
            Err(error) => {
                return Err(error).with_context(|| format!("could not make {}", path.display()));
            }
        };
        let guard = Self {
            ours: Some(path.to_owned()),
        };
        file.write_all(
            b"#!/bin/sh\n# Made by cargo xtask for one installation; may be removed.\nexit 101\n",
        )
        .with_context(|| format!("could not write {}", path.display()))?;
        Ok(guard)
    }
}

impl Drop for StartsForbidden {
    fn drop(&mut self) {
        let Some(path) = &self.ours else { return };
        if let Err(error) = fs::remove_file(path) {
            eprintln!("warning: could not remove {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn decide(present: bool, may_install: bool) -> Result<Step> {
        Means {
            present,
            may_install,
        }
        .decide(&SERVICES[0])
    }

    #[test]
    fn installs_only_what_is_missing_and_only_where_it_may() {
        assert_eq!(decide(true, true).unwrap(), Step::Nothing);
        assert_eq!(decide(true, false).unwrap(), Step::Nothing);
        assert_eq!(decide(false, true).unwrap(), Step::Install);
        let error = decide(false, false).unwrap_err().to_string();
        assert!(
            error.contains("`apt-get install -y --no-install-recommends nginx-light` as root"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_service_is_an_error() {
        assert!(ensure(&["nginks"]).is_err());
    }

    #[test]
    fn starts_are_forbidden_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy-rc.d");
        let guard = StartsForbidden::new(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o111, 0o111);
        // A shell reads it: the script still may be open for writing somewhere right after a fork.
        let status = Command::new("sh").arg(&path).status().unwrap();
        assert_eq!(status.code(), Some(101));
        drop(guard);
        assert!(!path.exists());
    }

    #[test]
    fn the_policy_of_the_machine_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy-rc.d");
        fs::write(&path, "theirs").unwrap();
        drop(StartsForbidden::new(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    }
}
