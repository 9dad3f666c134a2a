//! The one place that turns settings into backends.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use nxmesh_agent_lib::{
    ActiveChecks, Agent, AgentOptions, BootstrapToken,
    apply::{ApplyOptions, BadResource, Mode},
    nginx::Layout,
    transport,
    watchdog::DriftPolicy,
};
use nxmesh_core::contract::reloader::Reloader;
use nxmesh_process::exit::{Exit, OrExit as _};

use crate::{
    health,
    options::{ActiveChecksPolicy, BadResourcePolicy, Drift, ManagedMode, Settings},
    proxy,
    reloaders::Reached,
    tuning::{self, Tuning},
    values::TransportChoice,
};

/// What applies need, and the reloader.
pub(crate) struct Parts {
    pub(crate) apply: ApplyOptions,
    pub(crate) reloader: Box<dyn Reloader>,
}

/// Looks at everything the settings name, and puts an agent together. Starts
/// nothing and writes nothing. An nginx in another container may take `patience`
/// to come up.
pub(crate) async fn compose(settings: &Settings, patience: Duration) -> Result<Agent> {
    let Parts { apply, reloader } = parts(settings, patience).await?;
    let mut options = AgentOptions::new(apply);
    options.master_urls = settings.master_url.clone().unwrap_or_default();
    options.transport = match settings.transport {
        None | Some(TransportChoice::Auto) => transport::TransportChoice::Auto,
        Some(TransportChoice::Grpc) => transport::TransportChoice::Grpc,
        Some(TransportChoice::WebSocket) => transport::TransportChoice::WebSocket,
    };
    options.proxy = proxy::of_environment(|name| std::env::var(name).ok())?;
    options.master_ca = settings.master_ca.as_deref().map(read_ca).transpose()?;
    options.control.active_checks = match settings.active_checks.unwrap_or_default() {
        ActiveChecksPolicy::Report => ActiveChecks::Report,
        ActiveChecksPolicy::Enforce => ActiveChecks::Enforce,
    };
    options.health.checks = health::checks(settings.health_checks.as_deref().unwrap_or_default())?;
    options.metrics.listen = settings.metrics_listen;
    options.metrics.statsd = settings.statsd.clone().map(|server| server.0);
    for (name, interval, to) in [
        (
            "statsd_interval",
            settings.statsd_interval,
            &mut options.metrics.statsd_interval,
        ),
        (
            "metrics_interval",
            settings.metrics_interval,
            &mut options.metrics.master_interval,
        ),
    ] {
        if let Some(interval) = interval {
            *to = interval.as_duration();
            tuning::at_least(name, *to, Duration::from_millis(100))?;
        }
    }
    options.hostname = settings.hostname.clone();
    let tuning = Tuning {
        reload: &settings.reload,
        connection: settings.connection.as_ref(),
        apply: settings.apply.as_ref(),
        watchdog: settings.watchdog.as_ref(),
    };
    tuning.apply_to(&mut options)?;
    options.labels = settings.labels.clone().unwrap_or_default().0;
    options.control.watchdog.drift = match settings.drift.unwrap_or_default() {
        Drift::Report => DriftPolicy::Report,
        Drift::Repair => DriftPolicy::Repair,
    };
    // A spent token's file may be gone, and need not be read again.
    if !options.is_enrolled()
        && let Some(token) = settings.token()?
    {
        options.bootstrap_token = Some(BootstrapToken::new(token.expose()));
    }
    Ok(Agent::builder(options).reloader(reloader).build()?)
}

/// As [`compose`], the part that is about nginx.
pub(crate) async fn parts(settings: &Settings, patience: Duration) -> Result<Parts> {
    let layout = Layout::new(settings.state_dir()?, settings.runtime_dir()?)
        .with_cache_dir(settings.cache_dir()?);
    let reached = Reached::new(settings, &layout, find_nginx)?;
    let build = reached.ask(settings, &layout, patience).await?;
    let prefix = match &settings.nginx_prefix {
        Some(prefix) => std::path::absolute(prefix)?,
        None => build.prefix.clone(),
    };
    let mut full = layout.full_options();
    let mode = match settings.mode.unwrap_or_default() {
        ManagedMode::Include => Mode::Include {
            nginx_conf: match &settings.nginx_conf {
                Some(conf) => std::path::absolute(conf)?,
                None => build.conf_path.clone(),
            },
        },
        ManagedMode::Full => {
            let modules = build.conf_path.with_file_name("modules-enabled");
            full.modules_include = match &settings.nginx_modules {
                Some(pattern) => Some(std::path::absolute(pattern)?),
                // They name modules by paths that count from the prefix.
                None if modules.is_dir() && prefix.join("modules").is_dir() => {
                    Some(modules.join("*.conf"))
                }
                None => None,
            };
            only_in_include_mode("--nginx-conf", settings.nginx_conf.as_deref())?;
            only_in_include_mode("--nginx-pid-file", settings.nginx_pid_file.as_deref())?;
            Mode::Full(full)
        }
    };
    let pid_file = match mode {
        Mode::Include { .. } => settings.nginx_pid_file.clone(),
        Mode::Full(_) => Some(layout.pid_file()),
    };
    let mut apply = ApplyOptions::new(layout.clone(), mode);
    apply.bad_resource = match settings.bad_resource.unwrap_or_default() {
        BadResourcePolicy::Refuse => BadResource::Refuse,
        BadResourcePolicy::Isolate => BadResource::Isolate,
    };
    apply.nginx_prefix = Some(prefix);
    apply.render.request_log = settings.counts_requests().then(|| layout.request_log());
    apply.render.nginx = build.version;
    apply.render.modules = Some(Arc::new(build.modules.clone()));
    apply.render.ipv6 = has_ipv6();
    apply.render.snippets = settings.snippets.clone().unwrap_or_default().into();
    let reloader = reached.reloader(settings, &apply, pid_file, build).await?;
    Ok(Parts { apply, reloader })
}

fn only_in_include_mode(flag: &str, value: Option<&Path>) -> Result<()> {
    match value {
        Some(_) => Err(anyhow!(
            "{flag} is for --mode include; in mode full the agent has its own"
        ))
        .or_exit(Exit::Usage),
        None => Ok(()),
    }
}

fn read_ca(path: &Path) -> Result<String> {
    fs::read_to_string(path)
        .with_context(|| format!("could not read the master's CA at {}", path.display()))
        .or_exit(Exit::Invalid)
}

fn find_nginx() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join("nginx"))
        .find(|binary| binary.is_absolute() && binary.is_file())
        .ok_or_else(|| anyhow!("no nginx in PATH or /usr/sbin; --nginx-binary FILE names one"))
        .or_exit(Exit::Invalid)
}

/// Whether any interface has an IPv6 address (proc(5), `/proc/net/if_inet6`).
fn has_ipv6() -> bool {
    fs::read_to_string("/proc/net/if_inet6").is_ok_and(|interfaces| !interfaces.trim().is_empty())
}
