//! The command line, and the settings behind it.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use nxmesh_agent_lib::transport::MasterUrl;
use nxmesh_core::{model::value::Time, snippet::SnippetPolicy};
use nxmesh_process::{
    config::{self, Secret},
    exit::{Exit, OrExit as _},
    logging::LogOptions,
};
use serde::{Deserialize, Serialize};

use crate::health::HealthCheckSettings;
use crate::reloaders::{CommandSettings, ContainerSettings, SystemdSettings};
use crate::tuning::{ApplySettings, ConnectionSettings, ReloadSettings, WatchdogSettings};
use crate::values::{
    DeploymentMode, HostPort, LabelList, ReloaderChoice, TransportChoice, Words, one_or_many,
};

/// Where the agent keeps its state unless told.
const STATE_DIR: &str = "/var/lib/nxmesh-agent";
/// Where it keeps keys in use and sockets, with the state folder above.
const RUNTIME_DIR: &str = "/run/nxmesh-agent";
/// Where responses are cached, with the two above.
const CACHE_DIR: &str = "/var/cache/nxmesh-agent";
/// Holds the bootstrap token; there is no flag, as others see those.
const TOKEN_VARIABLE: &str = "NXMESH_AGENT_TOKEN";

/// The NxMesh agent: keeps the nginx of this machine at the configuration its master wants
///
/// Enrols itself on the first start, with a bootstrap token from --token-file or NXMESH_AGENT_TOKEN.
/// Starts nginx if none runs. With the master away it goes on from what it has on disk.
/// Goes through the HTTP proxy that HTTPS_PROXY names, but for a master on this machine and whom
/// NO_PROXY names.
#[derive(Debug, Parser)]
#[command(name = "nxmesh-agent", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) layered: Layered,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Work until stopped; the default
    Run(Layered),
    /// Say what the agent that works on the state folder knows of itself
    Status {
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Output,
        #[command(flatten)]
        layered: Layered,
    },
    /// Put the one line into nginx.conf that includes what the agent writes, in mode include
    ///
    /// It lands at the end of the http block; all else stays as it is. nginx tests the result
    /// first, and is not reloaded.
    Adopt(Layered),
    /// Take that line out of nginx.conf again; nginx is not reloaded
    Release(Layered),
    /// Look at the settings without using them
    Config {
        action: ConfigAction,
        #[command(flatten)]
        layered: Layered,
    },
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Output {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ConfigAction {
    /// Say whether they can be used
    Check,
    /// Print them in the form of the settings file
    Print,
}

/// Settings from the command line, the environment and a file.
#[derive(Debug, Clone, Args)]
pub(crate) struct Layered {
    /// TOML file with the same settings, the dashes as underscores
    #[arg(long, env = "NXMESH_AGENT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Layered {
    pub(crate) fn resolve(self) -> Result<Settings> {
        config::layered(self.settings, self.config.as_deref()).or_exit(Exit::Invalid)
    }
}

#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Folder for the identity and the releases [default: /var/lib/nxmesh-agent]
    #[arg(long, env = "NXMESH_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Folder for private keys in use and sockets, best on a tmpfs [default: /run/nxmesh-agent, or
    /// `run` in a state folder of your own]
    #[arg(long, env = "NXMESH_RUNTIME_DIR", value_name = "DIR")]
    runtime_dir: Option<PathBuf>,
    /// Folder for responses that nginx caches; its workers have to get there [default:
    /// /var/cache/nxmesh-agent, or `cache` in a runtime folder of your own]
    #[arg(long, env = "NXMESH_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Where the master is; of several, separated by commas or given one by one, the agent uses
    /// one and goes to another when it fails [default: where it was at the enrolment]
    #[arg(
        long,
        env = "NXMESH_MASTER_URL",
        value_name = "URL",
        value_delimiter = ','
    )]
    #[serde(with = "one_or_many")]
    pub(crate) master_url: Option<Vec<MasterUrl>>,
    /// File with the bootstrap token, or `-` for standard input; used only to enrol
    #[arg(long, env = "NXMESH_AGENT_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with the authority of the master's certificate, its ca.pem; needed to enrol
    #[arg(long, env = "NXMESH_MASTER_CA", value_name = "FILE")]
    pub(crate) master_ca: Option<PathBuf>,
    /// Labels that selectors choose this agent by; told at the enrolment
    #[arg(long, env = "NXMESH_LABELS", value_name = "K=V,K=V")]
    pub(crate) labels: Option<LabelList>,
    /// What the machine is called [default: its host name]
    #[arg(long, env = "NXMESH_HOSTNAME", value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// How much of nginx's configuration is managed [default: include]
    #[arg(long, env = "NXMESH_MODE", value_enum, value_name = "MODE")]
    pub(crate) mode: Option<ManagedMode>,
    /// What becomes of a version of which nginx refuses one resource [default: refuse]
    #[arg(long, env = "NXMESH_BAD_RESOURCE", value_enum, value_name = "POLICY")]
    pub(crate) bad_resource: Option<BadResourcePolicy>,
    /// What becomes of files of the agent that somebody else changed [default: report]
    #[arg(long, env = "NXMESH_DRIFT", value_enum, value_name = "POLICY")]
    pub(crate) drift: Option<Drift>,
    /// What is done about servers of upstreams that fail their health_check [default: report]
    #[arg(long, env = "NXMESH_ACTIVE_CHECKS", value_enum, value_name = "POLICY")]
    pub(crate) active_checks: Option<ActiveChecksPolicy>,
    /// What is spoken with the master; auto is what the URL's scheme says, grpcs or wss, and for
    /// https gRPC with WebSocket where HTTP/2 does not get through [default: auto]
    #[arg(long, env = "NXMESH_TRANSPORT", value_name = "auto|grpc|websocket")]
    pub(crate) transport: Option<TransportChoice>,
    /// nginx itself [default: from PATH, then /usr/sbin/nginx]
    #[arg(long, env = "NXMESH_NGINX_BINARY", value_name = "FILE")]
    pub(crate) nginx_binary: Option<PathBuf>,
    /// Its nginx.conf, in mode include [default: the one built in]
    #[arg(long, env = "NXMESH_NGINX_CONF", value_name = "FILE")]
    pub(crate) nginx_conf: Option<PathBuf>,
    /// Its prefix [default: the one built in]
    #[arg(long, env = "NXMESH_NGINX_PREFIX", value_name = "DIR")]
    pub(crate) nginx_prefix: Option<PathBuf>,
    /// A pattern of files that load modules, in mode full [default: modules-enabled/*.conf beside the built-in nginx.conf, where the prefix has modules]
    #[arg(long, env = "NXMESH_NGINX_MODULES", value_name = "PATTERN")]
    pub(crate) nginx_modules: Option<PathBuf>,
    /// Its pid file, in mode include [default: the one built in]
    #[arg(long, env = "NXMESH_NGINX_PID_FILE", value_name = "FILE")]
    pub(crate) nginx_pid_file: Option<PathBuf>,
    /// How nginx is started and reloaded [default: signal]
    #[arg(
        long,
        env = "NXMESH_RELOADER",
        value_name = "signal|systemd|command|container"
    )]
    pub(crate) reloader: Option<ReloaderChoice>,
    #[command(flatten)]
    pub(crate) command: CommandSettings,
    #[command(flatten)]
    pub(crate) systemd: SystemdSettings,
    #[command(flatten)]
    pub(crate) container: ContainerSettings,
    /// What enters the place where nginx's binary is, before it: for example `nsenter --target
    /// {pid} --mount --`, {pid} being nginx's [default: nothing, or /proc/PID/root beside a sidecar]
    #[arg(long, env = "NXMESH_ENTER_COMMAND", value_name = "WORDS")]
    pub(crate) enter_command: Option<Words>,
    /// Where nginx runs, seen from the agent; in another container that shares its process ids and
    /// folders it is a sidecar [default: standalone]
    #[arg(
        long,
        env = "NXMESH_DEPLOYMENT_MODE",
        value_name = "standalone|docker_sidecar|kubernetes_sidecar"
    )]
    pub(crate) deployment_mode: Option<DeploymentMode>,
    /// Where Prometheus reads metrics, with GET /metrics over plain HTTP [default: nowhere]
    #[arg(
        long,
        env = "NXMESH_METRICS_LISTEN",
        value_name = "ADDRESS:PORT",
        help_heading = "Metrics"
    )]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// The statsd server that is told metrics over UDP [default: none]
    #[arg(
        long,
        env = "NXMESH_STATSD",
        value_name = "HOST:PORT",
        help_heading = "Metrics"
    )]
    pub(crate) statsd: Option<HostPort>,
    /// How often the statsd server is told [default: 10s]
    #[arg(
        long,
        env = "NXMESH_STATSD_INTERVAL",
        value_name = "TIME",
        help_heading = "Metrics"
    )]
    pub(crate) statsd_interval: Option<Time>,
    /// How often the master is told figures [default: 60s]
    #[arg(
        long,
        env = "NXMESH_METRICS_INTERVAL",
        value_name = "TIME",
        help_heading = "Metrics"
    )]
    pub(crate) metrics_interval: Option<Time>,
    /// Whether requests are counted, by lines that nginx writes to a socket of the agent: in mode
    /// include these stand beside the access_log of your http block, and silence the one that is
    /// built in [default: true in mode full with --metrics-listen or --statsd, else false]
    #[arg(
        long,
        env = "NXMESH_REQUEST_LOG",
        value_name = "true|false",
        help_heading = "Metrics"
    )]
    pub(crate) request_log: Option<bool>,
    #[command(flatten)]
    pub(crate) reload: ReloadSettings,
    #[command(flatten)]
    pub(crate) log: LogOptions,
    /// How the connection to the master is kept; in the settings file only
    #[arg(skip)]
    pub(crate) connection: Option<ConnectionSettings>,
    /// Deadlines and limits of applies; in the settings file only
    #[arg(skip)]
    pub(crate) apply: Option<ApplySettings>,
    /// When nginx is restarted; in the settings file only
    #[arg(skip)]
    pub(crate) watchdog: Option<WatchdogSettings>,
    /// What is asked over HTTP; in the settings file only
    #[arg(skip)]
    pub(crate) health_checks: Option<Vec<HealthCheckSettings>>,
    /// What snippets may say beside the built-in rules; in the settings file only
    #[arg(skip)]
    pub(crate) snippets: Option<SnippetPolicy>,
}

nxmesh_process::overlay!(Settings {
    state_dir,
    runtime_dir,
    cache_dir,
    master_url,
    token_file,
    master_ca,
    labels,
    hostname,
    mode,
    bad_resource,
    active_checks,
    drift,
    transport,
    nginx_binary,
    nginx_conf,
    nginx_prefix,
    nginx_modules,
    nginx_pid_file,
    reloader,
    command,
    systemd,
    container,
    enter_command,
    deployment_mode,
    metrics_listen,
    statsd,
    statsd_interval,
    metrics_interval,
    request_log,
    reload,
    log,
    connection,
    apply,
    watchdog,
    health_checks,
    snippets,
});

impl Settings {
    /// Whether the whole nginx.conf is the agent's.
    pub(crate) fn is_full(&self) -> bool {
        self.mode.unwrap_or_default() == ManagedMode::Full
    }

    pub(crate) fn state_dir(&self) -> Result<PathBuf> {
        absolute(self.state_dir.clone().unwrap_or_else(|| STATE_DIR.into()))
    }

    /// Two agents with state folders of their own must not meet here.
    pub(crate) fn runtime_dir(&self) -> Result<PathBuf> {
        let folder = match (&self.runtime_dir, &self.state_dir) {
            (Some(folder), _) => folder.clone(),
            (None, Some(state_dir)) => state_dir.join("run"),
            (None, None) => RUNTIME_DIR.into(),
        };
        absolute(folder)
    }

    /// Beside the runtime folder, unless that is the system's.
    pub(crate) fn cache_dir(&self) -> Result<PathBuf> {
        let folder = match (&self.cache_dir, &self.runtime_dir, &self.state_dir) {
            (Some(folder), _, _) => folder.clone(),
            (None, None, None) => CACHE_DIR.into(),
            (None, _, _) => self.runtime_dir()?.join("cache"),
        };
        absolute(folder)
    }

    /// Whether nginx is asked to tell of each request.
    pub(crate) fn counts_requests(&self) -> bool {
        let told = self.metrics_listen.is_some() || self.statsd.is_some();
        self.request_log.unwrap_or(told && self.is_full())
    }

    /// The bootstrap token, if there is one.
    pub(crate) fn token(&self) -> Result<Option<Secret>> {
        if let Some(path) = &self.token_file {
            return Ok(Some(Secret::from_file(path).or_exit(Exit::Invalid)?));
        }
        match std::env::var(TOKEN_VARIABLE) {
            Ok(token) if !token.is_empty() => Ok(Some(Secret::new(token))),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
            Err(error) => Err(error).context(TOKEN_VARIABLE).or_exit(Exit::Invalid),
        }
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(&path)
        .with_context(|| format!("could not make {} absolute", path.display()))
        .or_exit(Exit::Usage)
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ManagedMode {
    /// Your nginx.conf stays; it includes one file of the agent in its http block
    #[default]
    Include,
    /// The whole nginx.conf is the agent's
    Full,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BadResourcePolicy {
    /// All of it is refused; nginx serves what it had
    #[default]
    Refuse,
    /// The resource keeps its last good form, all others are served; a failure all the same
    Isolate,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Drift {
    /// They are told, with what was changed, and left alone
    #[default]
    Report,
    /// They are made as they were; nginx is reloaded if it has read them
    Repair,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActiveChecksPolicy {
    /// They are shown
    #[default]
    Report,
    /// nginx is led around them as well, but for the last one of an upstream
    Enforce,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn settings(arguments: &[&str]) -> Result<Settings, clap::Error> {
        let all = ["nxmesh-agent"]
            .into_iter()
            .chain(arguments.iter().copied());
        Ok(Cli::try_parse_from(all)?.layered.resolve().unwrap())
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_readme_names_every_flag() {
        let readme = include_str!("../../../README.md");
        let untold = nxmesh_process::config::untold_flags(&Cli::command(), readme);
        assert!(untold.is_empty(), "{untold:?}");
    }

    #[test]
    fn commands_are_words_and_lists() {
        let set = settings(&["--reload-command", "/sbin/reload  now {conf}"]).unwrap();
        let text = toml::to_string(&set).unwrap();
        assert!(
            text.contains("[\"/sbin/reload\", \"now\", \"{conf}\"]"),
            "{text}"
        );
        let file = "[command]\ncheck = [\"/opt/a b\", \"-t\"]\nstart = \"/bin/start\"\n";
        let set: Settings = toml::from_str(file).unwrap();
        let text = toml::to_string(&set).unwrap();
        assert!(text.contains("check = [\"/opt/a b\", \"-t\"]"), "{text}");
        assert!(text.contains("start = [\"/bin/start\"]"), "{text}");
        for bad in ["", "[]", "[\"\"]", "sh -c 'a b'", "[\"a\""] {
            assert!(settings(&["--reload-command", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn requests_are_counted_where_somebody_is_told_and_nobody_is_in_the_way() {
        let counts = |arguments: &[&str]| settings(arguments).unwrap().counts_requests();
        let listen = ["--metrics-listen", "127.0.0.1:9145"];
        assert!(!counts(&[]));
        assert!(!counts(&["--mode", "full"]));
        assert!(!counts(&listen));
        assert!(counts(&[&listen[..], &["--mode", "full"]].concat()));
        assert!(counts(&["--statsd", "h:8125", "--mode", "full"]));
        assert!(counts(&[&listen[..], &["--request-log", "true"]].concat()));
        let none = ["--mode", "full", "--request-log", "false"];
        assert!(!counts(&[&listen[..], &none].concat()));
        assert!(settings(&["--metrics-listen", "9145"]).is_err());
        for good in ["h:1", "10.0.0.1:8125", "[::1]:8125"] {
            assert!(settings(&["--statsd", good]).is_ok(), "{good}");
        }
        for bad in ["h", ":1", "h:0", "h:x", "::1:8125", "a b:1", "h:65536"] {
            assert!(settings(&["--statsd", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_are_pairs() {
        let list: LabelList = "env=prod, zone=a,empty=".parse().unwrap();
        assert_eq!(list.to_string(), "empty=,env=prod,zone=a");
        for bad in ["env", "=x", "env=a b", "env=a,env=b"] {
            assert!(bad.parse::<LabelList>().is_err(), "{bad}");
        }
    }

    #[test]
    fn choices_nobody_knows_are_said() {
        let error = settings(&["--transport", "quic"]).unwrap_err().to_string();
        assert!(error.contains("auto, grpc, websocket"), "{error}");
        let error = settings(&["--reloader", "sytemd"]).unwrap_err().to_string();
        assert!(error.contains("no such reloader"), "{error}");
    }

    #[test]
    fn there_may_be_several_masters() {
        let two = ["https://a:8443", "https://b:8443"];
        let arguments = ["--master-url", "https://a", "--master-url", "https://b"];
        for set in [
            settings(&arguments).unwrap(),
            settings(&["--master-url", "https://a,https://b"]).unwrap(),
            toml::from_str("master_url = [\"https://a\", \"https://b\"]").unwrap(),
        ] {
            let urls = set.master_url.iter().flatten().map(ToString::to_string);
            assert_eq!(urls.collect::<Vec<_>>(), two);
            let text = toml::to_string(&set).unwrap();
            assert!(
                text.contains("master_url = [\"https://a:8443\", "),
                "{text}"
            );
        }
        let one: Settings = toml::from_str("master_url = \"https://a\"").unwrap();
        let text = toml::to_string(&one).unwrap();
        assert!(text.contains("master_url = \"https://a:8443\""), "{text}");
        for bad in [
            "master_url = 1",
            "master_url = []",
            "master_url = [\"http://a\"]",
        ] {
            let error = toml::from_str::<Settings>(bad).unwrap_err().to_string();
            assert!(error.contains("https://"), "{bad}: {error}");
        }
    }

    #[test]
    fn agents_with_their_own_state_do_not_share_a_runtime_folder() {
        let own = settings(&["--state-dir", "/srv/a"]).unwrap();
        assert_eq!(own.runtime_dir().unwrap(), PathBuf::from("/srv/a/run"));
        let usual = settings(&[]).unwrap();
        assert_eq!(usual.runtime_dir().unwrap(), PathBuf::from(RUNTIME_DIR));
    }

    #[test]
    fn a_file_says_the_same() {
        let text = "master_url = \"https://m\"\nlabels = \"a=b\"\nmode = \"full\"\nreloader = \"signal\"\n";
        let settings: Settings = toml::from_str(text).unwrap();
        assert_eq!(settings.mode, Some(ManagedMode::Full));
        assert_eq!(settings.labels.unwrap().to_string(), "a=b");
        assert!(toml::from_str::<Settings>("token = \"secret\"").is_err());
        let text = "active_checks = \"enforce\"\n";
        let settings: Settings = toml::from_str(text).unwrap();
        assert_eq!(settings.active_checks, Some(ActiveChecksPolicy::Enforce));
        let text = "[snippets]\ndeny = [\"gzip\"]\nallow.more_clear_headers = [\"server\"]\n";
        let snippets = toml::from_str::<Settings>(text).unwrap().snippets.unwrap();
        assert!(snippets.deny.contains("gzip"));
        assert!(snippets.allow.contains_key("more_clear_headers"));
    }
}
