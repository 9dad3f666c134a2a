//! What a reloader needs of the machine, looked at before it is needed.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use crate::nginx::{command::ENVIRONMENT, process::Master};

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
