//! What a reloader needs of the machine, looked at before it is needed.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::nginx::{Master, command::ENVIRONMENT, namespace};

/// What a reloader needs and does not have here, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{missing}; {remedy}")]
pub struct Unmet {
    /// What is missing.
    pub missing: String,
    /// What the operator can do.
    pub remedy: String,
}

impl Unmet {
    pub(super) fn new(missing: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            missing: missing.into(),
            remedy: remedy.into(),
        }
    }
}

/// Whether this process may signal the nginx that runs.
pub(super) fn may_signal(master: &Master) -> Result<(), Unmet> {
    if master.may_be_signalled() {
        return Ok(());
    }
    Err(Unmet::new(
        format!("the agent may not signal nginx (pid {})", master.pid()),
        "run it as root or as the user of nginx's master process, or give it the capability CAP_KILL",
    ))
}

/// Whether an nginx in another container is seen at all.
pub(super) fn nginx_in_sight(ours: Option<&Master>, conf: &Path) -> Result<(), Unmet> {
    if ours.is_some() {
        return Ok(());
    }
    let conf = conf.display();
    let others = Master::all().unwrap_or_default();
    if let Some(other) = others.first() {
        return Err(Unmet::new(
            format!(
                "nginx is in sight (pid {}), but it does not run {conf}, or sees another file there",
                other.pid()
            ),
            format!(
                "mount the folder of {conf} under the same path in both containers, or name nginx's own with --nginx-conf"
            ),
        ));
    }
    Err(Unmet::new(
        "no nginx is in sight",
        "start nginx, and share its process ids with the agent: `pid: \"service:nginx\"` in Docker Compose, `--pid=container:NAME` in Docker, `shareProcessNamespace: true` in Kubernetes",
    ))
}

/// Whether this process may look into the files of `master` and enter them.
pub(super) fn may_enter(master: &Master) -> Result<(), Unmet> {
    let root = namespace::root_of(master.pid());
    // Following the link is what takes the right.
    match root.join("proc").symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(Unmet::new(
            format!("the agent may not look into {}", root.display()),
            "give it the capabilities CAP_SYS_PTRACE and CAP_SYS_CHROOT, or say with --enter-command how nginx's files are reached",
        )),
        _ => Ok(()),
    }
}

/// Whether nginx sees the same folders. One that is not made yet is judged by
/// the nearest that is there: a volume's own folder always is.
pub(super) fn shares(master: &Master, folders: &[PathBuf]) -> Result<(), Unmet> {
    for folder in folders {
        let there = folder.ancestors().find(|it| it.exists());
        let Some(nearest) = there else { continue };
        if namespace::same(master.pid(), nearest).unwrap_or(true) {
            continue;
        }
        let folder = folder.display();
        return Err(Unmet::new(
            format!(
                "nginx (pid {}) does not see the agent's {folder}",
                master.pid()
            ),
            format!("mount one volume at {folder} in both containers"),
        ));
    }
    Ok(())
}

/// Whether the program of a command can be run.
pub(super) fn program(what: &str, words: &[String]) -> Result<(), Unmet> {
    let Some(program) = words.first().filter(|program| !program.is_empty()) else {
        return Err(Unmet::new(
            format!("the {what} command is empty"),
            "name a program",
        ));
    };
    let can_run = |path: &Path| {
        path.metadata()
            .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    let found = if program.contains('/') {
        Path::new(program).is_absolute() && can_run(Path::new(program))
    } else {
        std::env::split_paths(ENVIRONMENT.1).any(|folder| can_run(&folder.join(program)))
    };
    if found {
        return Ok(());
    }
    Err(Unmet::new(
        format!("the program of the {what} command, {program}, is not there or cannot be run"),
        format!(
            "name it by its absolute path, or install it in {}; no shell is used",
            ENVIRONMENT.1
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn a_program_is_found_as_it_would_be_run() {
        let unmet = |name: &str| program("reload", &[name.to_owned()]).err();
        assert_eq!(unmet("sh"), None);
        assert_eq!(unmet("/bin/sh"), None);
        for bad in ["", "no-such-program", "/etc/passwd", "bin/sh", "/bin"] {
            let unmet = unmet(bad).unwrap();
            assert!(unmet.missing.contains("reload command"), "{unmet}");
        }
        assert!(program("check", &[]).is_err());
    }
}
