use std::collections::BTreeSet;

use clap::{Arg, Command};

/// The long flags of `command` and of those below it that `text`, such as a README, does not name.
///
/// # Examples
///
/// ```
/// use clap::{Arg, Command};
/// use nxmesh_process::config::untold_flags;
///
/// let command = Command::new("serve")
///     .args([Arg::new("port").long("port"), Arg::new("host").long("host")]);
/// let untold = untold_flags(&command, "`--port` is where it listens");
/// assert_eq!(untold, ["--host".to_owned()].into());
/// ```
#[must_use]
pub fn untold_flags(command: &Command, text: &str) -> BTreeSet<String> {
    let words: BTreeSet<&str> = text
        .split(|it: char| !(it.is_ascii_lowercase() || it == '-'))
        .collect();
    let mut commands = vec![command];
    let mut untold = BTreeSet::new();
    while let Some(command) = commands.pop() {
        let flags = command.get_arguments().filter_map(Arg::get_long);
        let flags = flags.map(|flag| format!("--{flag}"));
        untold.extend(flags.filter(|flag| !words.contains(flag.as_str())));
        commands.extend(command.get_subcommands());
    }
    untold
}
