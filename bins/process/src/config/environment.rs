//! Variables of the environment that nobody reads because of a slip.

use std::collections::BTreeSet;

use super::suggest;

const PREFIX: &str = "NXMESH_";

/// A variable that no option reads, though one with nearly its name is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown environment variable {name}, did you mean {meant}?")]
pub struct UnknownVariable {
    /// The variable that is set.
    pub name: String,
    /// The variable an option reads.
    pub meant: String,
}

/// Looks for variables that miss the name of one this program reads by at most two letters.
///
/// Other strangers with our prefix are let pass: one environment often serves several programs, and
/// Kubernetes puts variables such as `NXMESH_MASTER_PORT` there for a service of that name
/// (Kubernetes documentation, "Accessing the Service", environment variables).
///
/// # Errors
///
/// The first such variable, in the order of their names.
pub fn check_environment(command: &clap::Command) -> Result<(), UnknownVariable> {
    let set: BTreeSet<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .collect();
    check(&set, &known(command))
}

/// The variables that the command's options read, those of its subcommands included.
fn known(command: &clap::Command) -> BTreeSet<String> {
    let own = command
        .get_arguments()
        .filter_map(|argument| argument.get_env())
        .filter_map(|name| name.to_str().map(str::to_owned));
    own.chain(command.get_subcommands().flat_map(known))
        .collect()
}

fn check(set: &BTreeSet<String>, known: &BTreeSet<String>) -> Result<(), UnknownVariable> {
    for name in set
        .difference(known)
        .filter(|name| name.starts_with(PREFIX))
    {
        // A known variable that is set as well was not what this one was meant to be.
        let free = known.difference(set).map(String::as_str);
        if let Some(meant) = suggest::within(2, name, free) {
            return Err(UnknownVariable {
                name: name.clone(),
                meant: meant.to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    fn command() -> Command {
        let url = Arg::new("url").long("url").env("NXMESH_MASTER_URL");
        let pid = Arg::new("pid").long("pid").env("NXMESH_NGINX_PID_FILE");
        Command::new("agent")
            .arg(url)
            .subcommand(Command::new("run").arg(pid))
    }

    fn check_with(set: &[&str]) -> Result<(), UnknownVariable> {
        let set = set.iter().map(|name| (*name).to_owned()).collect();
        check(&set, &known(&command()))
    }

    #[test]
    fn a_slip_names_what_was_meant() {
        let error = check_with(&["NXMESH_MASTER_ULR"]).unwrap_err();
        assert_eq!(error.meant, "NXMESH_MASTER_URL");
        let error = check_with(&["NXMESH_NGINX_PIDFILE"]).unwrap_err();
        assert_eq!(error.meant, "NXMESH_NGINX_PID_FILE");
    }

    #[test]
    fn known_and_foreign_variables_pass() {
        check_with(&[
            "NXMESH_MASTER_URL",
            "NXMESH_MASTER_PORT",
            "NXMESH_TEST_REQUIRE",
            "PATH",
        ])
        .unwrap();
    }
}
