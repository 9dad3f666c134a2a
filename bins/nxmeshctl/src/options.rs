//! The command line.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Parser, Subcommand, ValueEnum};
use nxmesh_core::{
    contract::renderer::NginxVersion,
    model::{
        AgentId, ResourceKind, Selector,
        value::{Time, WorkspaceName},
    },
};
use nxmesh_process::exit::{Exit, OrExit as _};

/// Brings configuration to fleets of nginx, and tells what they serve.
#[derive(Debug, Parser)]
#[command(name = "nxmeshctl", version, arg_required_else_help = true)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which master, as whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerOptions {
    /// URL of the master's API; default: the one logged in to
    #[arg(long, global = true, env = "NXMESH_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// PEM file of the authority to trust for an https URL; default: the one given at login
    #[arg(long, global = true, env = "NXMESH_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// File with an access token to use instead of the login
    #[arg(long, global = true, env = "NXMESH_TOKEN_FILE", value_name = "FILE")]
    pub(crate) access_token_file: Option<PathBuf>,
    /// Where the login is kept; default: nxmesh/config.toml under the XDG config folder
    #[arg(long, global = true, env = "NXMESH_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Workspace to work in
    #[arg(
        long,
        short = 'w',
        global = true,
        env = "NXMESH_WORKSPACE",
        default_value = "default"
    )]
    pub(crate) workspace: WorkspaceName,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Log in and remember it
    Login(LoginArguments),
    /// Forget the login
    Logout,
    /// Enrol agents and tell them what to do
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Make the resources of files so, and wait until every agent concerned serves them
    Apply(ApplyArguments),
    /// List resources, agents, revisions or the audit log
    Get(GetArguments),
    /// Tell everything about one resource or agent
    Describe(DescribeArguments),
    /// Delete a resource or forget an agent
    Delete(DeleteArguments),
    /// Show what apply would change; exits 2 if anything
    Diff(FileArguments),
    /// Show what apply would change in the files of nginx; exits 2 if anything
    Plan(PlanArguments),
    /// Check files without a server; exits 3 if anything is wrong
    Validate(ValidateArguments),
    /// Render files to nginx configuration without a server
    Render(RenderArguments),
    /// Tell what a kind of document, or a field of it, can say
    Explain(ExplainArguments),
    /// Make resources of an existing nginx configuration, without a server; exits 2 if
    /// anything could not be imported
    Import(ImportArguments),
    /// Show the error log of an agent's nginx
    Logs(LogsArguments),
    /// Follow and undo changes
    #[command(subcommand)]
    Rollout(RolloutCommand),
}

#[derive(Debug, Args)]
pub(crate) struct LoginArguments {
    /// User name
    #[arg(long, value_name = "NAME")]
    pub(crate) username: String,
    /// File with the password, - for standard input; default: ask on the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Make a one-time token that admits one agent, and print the command to paste
    Enroll(EnrollArguments),
    /// Reload nginx, and see that new workers serve
    Reload(CommandArguments),
    /// Look whether nginx and its files are as they should be
    Recheck(CommandArguments),
    /// End nginx, gracefully first, and start it anew; nothing is served in between
    Restart(CommandArguments),
    /// Take no new version until undrain; nginx goes on serving, and rollouts do not wait
    Drain(CommandArguments),
    /// Take new versions again
    Undrain(CommandArguments),
    /// Sign with another key; done once the agent was seen using it, the old one is refused then
    RotateKey(CommandArguments),
    /// Serve an agent again whose identity two machines had, once only one has it
    Unquarantine(AgentArguments),
}

#[derive(Debug, Args)]
pub(crate) struct AgentArguments {
    /// Its host name or id
    #[arg(value_name = "AGENT")]
    pub(crate) agent: String,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    /// Host name or id of the agent
    #[arg(value_name = "AGENT")]
    pub(crate) agent: String,
    /// How many of the last lines to show, 0 to 1000
    #[arg(long, short = 'n', value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) lines: u32,
    /// Go on with what is added, for ten minutes at most
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CommandArguments {
    /// Its host name or id
    #[arg(value_name = "AGENT")]
    pub(crate) agent: String,
    /// How long the agent has for it
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: Time,
}

#[derive(Debug, Args)]
pub(crate) struct EnrollArguments {
    /// Labels the agent gets: k=v,k=v
    #[arg(long, value_name = "LABELS", default_value = "")]
    pub(crate) labels: String,
    /// How long the token is good for
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) ttl: Time,
    /// json: the token and its details as one document
    #[arg(long, short = 'o', value_enum, default_value = "table")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct FileArguments {
    /// File or folder with YAML or JSON documents, - for standard input; repeatable
    #[arg(long = "filename", short = 'f', required = true, value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArguments {
    /// Return once the change is stored, before agents serve it
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait for agents
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: Time,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArguments {
    #[command(flatten)]
    pub(crate) files: FileArguments,
    #[command(flatten)]
    pub(crate) wait: WaitArguments,
    /// Only tell what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the history
    #[arg(long, short = 'm', value_name = "TEXT", default_value = "")]
    pub(crate) message: String,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    Resource(ResourceKind),
    Agent,
    Revision,
    /// The audit log, of all workspaces.
    Audit,
}

impl std::str::FromStr for Thing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "agent" | "agents" => Ok(Self::Agent),
            "revision" | "revisions" => Ok(Self::Revision),
            "audit" => Ok(Self::Audit),
            _ => text.parse().map(Self::Resource).map_err(|_| {
                "a kind is one of virtualhosts, upstreams, certificates, agents, revisions and audit"
                    .to_owned()
            }),
        }
    }
}

/// `KIND NAME`, or `KIND/NAME` as `get -o name` prints it.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// virtualhost, upstream, certificate, agent, revision or audit, also plural; or KIND/NAME
    #[arg(value_name = "KIND")]
    kind: KindOrBoth,
    /// Its name, id or number
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

#[derive(Debug, Clone)]
struct KindOrBoth(Thing, Option<String>);

impl std::str::FromStr for KindOrBoth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((kind, name)) => Ok(Self(kind.parse()?, Some(name.to_owned()))),
            None => Ok(Self(text.parse()?, None)),
        }
    }
}

impl Target {
    /// What is meant, and its name if one is given.
    ///
    /// # Errors
    ///
    /// With two names.
    pub(crate) fn split(&self) -> anyhow::Result<(Thing, Option<&str>)> {
        let KindOrBoth(thing, name) = &self.kind;
        if name.is_some() && self.name.is_some() {
            return Err(anyhow!("give the name once: KIND NAME or KIND/NAME")).or_exit(Exit::Usage);
        }
        Ok((*thing, name.as_deref().or(self.name.as_deref())))
    }

    /// What is meant, by its name.
    ///
    /// # Errors
    ///
    /// Without a name, or with two.
    pub(crate) fn one(&self) -> anyhow::Result<(Thing, &str)> {
        match self.split()? {
            (thing, Some(name)) if !name.is_empty() => Ok((thing, name)),
            _ => Err(anyhow!("give a name: KIND NAME or KIND/NAME")).or_exit(Exit::Usage),
        }
    }
}

/// A way to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Wide,
    Json,
    Jsonl,
    Yaml,
    Name,
}

#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only those whose labels match, for example env=prod,!canary
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub(crate) selector: Option<Selector>,
    /// Of the audit log: the newest N entries [default: 100, or all with --since]
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Of the audit log: what was done within this time, for example 2h
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Time>,
    /// How to print
    #[arg(long, short = 'o', value_enum, default_value = "table")]
    pub(crate) output: Format,
    /// Leave the heading of tables out
    #[arg(long)]
    pub(crate) no_headers: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeArguments {
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArguments,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) files: FileArguments,
    /// Id of the agent whose files to show, in the form for its nginx; default: those of all resources
    #[arg(long, value_name = "ID")]
    pub(crate) agent: Option<AgentId>,
    /// The nginx to render for; default: the agent's, or the oldest supported
    #[arg(long, value_name = "VERSION")]
    pub(crate) nginx_version: Option<NginxVersion>,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArguments {
    #[command(flatten)]
    pub(crate) files: FileArguments,
    /// The nginx they are for; default: the newest that is known, as a server takes it
    #[arg(long, value_name = "VERSION")]
    pub(crate) nginx_version: Option<NginxVersion>,
    /// A module it was built with, as its configure calls it, for example http_ssl_module; give it once for each [default: those that distributions build in]
    #[arg(long = "module", value_name = "NAME")]
    pub(crate) modules: Vec<String>,
    /// How much of nginx.conf is ours; default: all of it
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) mode: Option<RenderMode>,
}

#[derive(Debug, Args)]
pub(crate) struct RenderArguments {
    #[command(flatten)]
    pub(crate) files: FileArguments,
    /// Folder to write to; made if it is not there, must be empty
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The nginx to render for
    #[arg(long, value_name = "VERSION", default_value_t)]
    pub(crate) nginx_version: NginxVersion,
    /// A module it was built with, as its configure calls it, for example http_ssl_module; give it once for each [default: those that distributions build in]
    #[arg(long = "module", value_name = "NAME")]
    pub(crate) modules: Vec<String>,
    /// How much of nginx.conf is ours: what to include in its block http, or all of it
    #[arg(long, value_enum, value_name = "MODE", default_value_t)]
    pub(crate) mode: RenderMode,
}

/// How much of nginx.conf is rendered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RenderMode {
    /// What is included in the block http
    #[default]
    Include,
    /// All of it
    Full,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// A kind and the way to a field, for example virtualhost.spec.tls; default: list the kinds
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Tell of everything below it too
    #[arg(long, short = 'r')]
    pub(crate) recursive: bool,
    /// Tell of the built-in template of this name: what it can name, and its text; - for their names
    #[arg(long, value_name = "NAME", conflicts_with_all = ["path", "recursive"])]
    pub(crate) template: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// nginx.conf or its folder, or a file with what `nginx -T` prints, - for standard input
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Which agents are to serve it
    #[arg(long, short = 'l', value_name = "SELECTOR", default_value = "")]
    pub(crate) selector: Selector,
    /// What the agents own of nginx.conf: with full, streams and settings of the process
    /// are imported too
    #[arg(long, value_name = "MODE", default_value = "include")]
    pub(crate) mode: RenderMode,
    /// File to write the resources to, with their private keys; default: standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Bring back what was before a revision, as a new revision
    Undo(UndoArguments),
    /// Tell how far each agent is with a revision
    Status(RolloutStatusArguments),
    /// List revisions
    History(HistoryArguments),
}

#[derive(Debug, Args)]
pub(crate) struct UndoArguments {
    /// The revision to undo; default: the newest
    #[arg(value_name = "REVISION")]
    pub(crate) revision: Option<u64>,
    #[command(flatten)]
    pub(crate) wait: WaitArguments,
    /// Why, for the history
    #[arg(long, short = 'm', value_name = "TEXT", default_value = "")]
    pub(crate) message: String,
}

#[derive(Debug, Args)]
pub(crate) struct RolloutStatusArguments {
    /// Default: the newest
    #[arg(value_name = "REVISION")]
    pub(crate) revision: Option<u64>,
    /// Wait until every agent is done
    #[arg(long)]
    pub(crate) watch: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: Time,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// How to print
    #[arg(long, short = 'o', value_enum, default_value = "table")]
    pub(crate) output: Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_readme_names_every_flag() {
        let readme = include_str!("../../../README.md");
        let untold = nxmesh_process::config::untold_flags(&Options::command(), readme);
        assert!(untold.is_empty(), "{untold:?}");
    }

    fn target(arguments: &[&str]) -> Target {
        let whole = ["nxmeshctl", "describe"].iter().chain(arguments);
        match Options::try_parse_from(whole).unwrap().command {
            Command::Describe(describe) => describe.target,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_follows_its_kind_or_a_slash() {
        for arguments in [&["VirtualHost/shop"][..], &["virtualhosts", "shop"]] {
            let target = target(arguments);
            let thing = Thing::Resource(ResourceKind::VirtualHost);
            assert_eq!(target.one().unwrap(), (thing, "shop"));
        }
        for arguments in [&["agent"][..], &["agent/"], &["agent/a", "b"]] {
            let error = target(arguments).one().unwrap_err();
            assert_eq!(nxmesh_process::exit::code_of(&error), Exit::Usage);
        }
        assert_eq!(target(&["agents"]).split().unwrap(), (Thing::Agent, None));
    }
}
