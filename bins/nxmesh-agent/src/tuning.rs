//! Times and limits that most machines leave as they are.

use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use nxmesh_agent_lib::{AgentOptions, ReloadPace};
use nxmesh_core::model::value::Time;
use nxmesh_process::exit::{Exit, OrExit as _};
use serde::{Deserialize, Serialize};

/// Room between reloads; in a file the table `[reload]`.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReloadSettings {
    /// Between two reloads of nginx; of what comes meanwhile the newest waits [default: 250ms]
    #[arg(
        id = "reload_interval",
        long = "reload-interval",
        env = "NXMESH_RELOAD_INTERVAL",
        value_name = "TIME",
        help_heading = "Reloads"
    )]
    interval: Option<Time>,
    /// How many older generations of workers may finish requests before nginx is reloaded more
    /// seldom [default: 8]
    #[arg(
        id = "max_draining",
        long = "max-draining",
        env = "NXMESH_MAX_DRAINING",
        value_name = "N",
        help_heading = "Reloads"
    )]
    max_draining: Option<usize>,
    /// Between two reloads while there are more [default: 30s]
    #[arg(
        id = "draining_reload_interval",
        long = "draining-reload-interval",
        env = "NXMESH_DRAINING_RELOAD_INTERVAL",
        value_name = "TIME",
        help_heading = "Reloads"
    )]
    draining_interval: Option<Time>,
}

nxmesh_process::overlay!(ReloadSettings {
    interval,
    max_draining,
    draining_interval,
});

impl ReloadSettings {
    fn pace(&self) -> ReloadPace {
        let mut pace = ReloadPace::default();
        set(&mut pace.interval, self.interval);
        set(&mut pace.draining_interval, self.draining_interval);
        pace.max_draining = self.max_draining.unwrap_or(pace.max_draining);
        pace
    }
}

/// `[connection]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConnectionSettings {
    /// The longest pause after the first failure. Default: 1s.
    retry_first: Option<Time>,
    /// The longest pause ever. Default: 60s.
    retry_most: Option<Time>,
    /// How often health is told unless the master says otherwise. Default: 30s.
    heartbeat: Option<Time>,
    /// How long the master may take to welcome the agent. Default: 30s.
    welcome_timeout: Option<Time>,
    /// So long without a session, and health is told by single calls. Default: 90s.
    calls_after: Option<Time>,
    /// A ping is sent after so long without traffic. Default: 10s.
    keepalive_interval: Option<Time>,
    /// The connection is given up so long after an unanswered ping. Default: 20s.
    keepalive_timeout: Option<Time>,
}

/// `[apply]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApplySettings {
    /// How long one `nginx -t` may take. Default: 60s.
    check_deadline: Option<Time>,
    /// How long one start or reload may take. Default: 30s.
    reload_deadline: Option<Time>,
    /// How long the confirmation after a reload may take. Default: 5s.
    confirm_deadline: Option<Time>,
    /// How many changed virtual hosts are asked after a reload. Default: 64.
    probed_hosts: Option<usize>,
    /// How many releases stay on disk; at least 2. Default: 3.
    kept_releases: Option<usize>,
}

/// `[watchdog]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WatchdogSettings {
    /// How often nginx is looked at. Default: 5s.
    interval: Option<Time>,
    /// After so many looks in a row without an answer nginx is restarted. Default: 3.
    failed_looks: Option<u32>,
    /// More restarts than this within `window` are too many. Default: 5.
    restarts: Option<usize>,
    /// Default: 10m.
    window: Option<Time>,
    /// Then nginx is restarted so often at most. Default: 5m.
    retry: Option<Time>,
    /// How often all files are compared with what was written. Default: 60s.
    digest_interval: Option<Time>,
}

/// All of these.
pub(crate) struct Tuning<'a> {
    pub(crate) reload: &'a ReloadSettings,
    pub(crate) connection: Option<&'a ConnectionSettings>,
    pub(crate) apply: Option<&'a ApplySettings>,
    pub(crate) watchdog: Option<&'a WatchdogSettings>,
}

impl Tuning<'_> {
    /// Has `options` be as the settings want.
    ///
    /// # Errors
    ///
    /// Names what would keep an agent from working.
    pub(crate) fn apply_to(&self, options: &mut AgentOptions) -> Result<()> {
        options.control.pace = self.reload.pace();
        if let Some(settings) = self.connection {
            let to = &mut options.connection;
            set(&mut to.backoff.first, settings.retry_first);
            set(&mut to.backoff.cap, settings.retry_most);
            set(&mut to.heartbeat, settings.heartbeat);
            set(&mut to.welcome_timeout, settings.welcome_timeout);
            set(&mut to.calls_after, settings.calls_after);
            set(&mut to.keepalive.interval, settings.keepalive_interval);
            set(&mut to.keepalive.timeout, settings.keepalive_timeout);
            for (name, span) in [
                ("connection.retry_most", to.backoff.cap),
                ("connection.heartbeat", to.heartbeat),
                ("connection.welcome_timeout", to.welcome_timeout),
                ("connection.keepalive_interval", to.keepalive.interval),
                ("connection.keepalive_timeout", to.keepalive.timeout),
            ] {
                at_least(name, span, Duration::from_secs(1))?;
            }
        }
        if let Some(settings) = self.apply {
            let to = &mut options.apply;
            set(&mut to.check_deadline, settings.check_deadline);
            set(&mut to.reload_deadline, settings.reload_deadline);
            set(&mut to.confirm_deadline, settings.confirm_deadline);
            to.probed_hosts = settings.probed_hosts.unwrap_or(to.probed_hosts);
            to.kept_releases = settings.kept_releases.unwrap_or(to.kept_releases);
            for (name, span) in [
                ("apply.check_deadline", to.check_deadline),
                ("apply.reload_deadline", to.reload_deadline),
                ("apply.confirm_deadline", to.confirm_deadline),
            ] {
                at_least(name, span, Duration::from_secs(1))?;
            }
            if to.kept_releases < 2 {
                return wrong("apply.kept_releases is at least 2, for example 3");
            }
        }
        if let Some(settings) = self.watchdog {
            let to = &mut options.control;
            set(&mut to.observe_interval, settings.interval);
            set(&mut to.digest_interval, settings.digest_interval);
            let watchdog = &mut to.watchdog;
            watchdog.failed_looks = settings.failed_looks.unwrap_or(watchdog.failed_looks);
            let breaker = &mut watchdog.breaker;
            breaker.restarts = settings.restarts.unwrap_or(breaker.restarts);
            set(&mut breaker.window, settings.window);
            set(&mut breaker.retry, settings.retry);
            if watchdog.failed_looks == 0 {
                return wrong("watchdog.failed_looks is at least 1, for example 3");
            }
            for (name, span) in [
                ("watchdog.interval", to.observe_interval),
                ("watchdog.digest_interval", to.digest_interval),
            ] {
                at_least(name, span, Duration::from_millis(100))?;
            }
        }
        Ok(())
    }
}

fn set(to: &mut Duration, time: Option<Time>) {
    if let Some(time) = time {
        *to = time.as_duration();
    }
}

pub(crate) fn at_least(name: &str, span: Duration, least: Duration) -> Result<()> {
    match span >= least {
        true => Ok(()),
        false => wrong(&format!("{name} is at least {least:?}, for example 10s")),
    }
}

fn wrong(rule: &str) -> Result<()> {
    Err(anyhow!("{rule}")).or_exit(Exit::Invalid)
}

#[cfg(test)]
mod tests {
    use nxmesh_agent_lib::{
        apply::{ApplyOptions, Mode},
        nginx::Layout,
    };

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        reload: ReloadSettings,
        connection: Option<ConnectionSettings>,
        apply: Option<ApplySettings>,
        watchdog: Option<WatchdogSettings>,
    }

    fn tuned(text: &str) -> Result<AgentOptions> {
        let file: File = toml::from_str(text)?;
        let layout = Layout::new("/s", "/r");
        let mode = Mode::Full(layout.full_options());
        let mut options = AgentOptions::new(ApplyOptions::new(layout, mode));
        let tuning = Tuning {
            reload: &file.reload,
            connection: file.connection.as_ref(),
            apply: file.apply.as_ref(),
            watchdog: file.watchdog.as_ref(),
        };
        tuning.apply_to(&mut options).map(|()| options)
    }

    #[test]
    fn what_is_set_counts_and_all_else_stays() {
        let default = tuned("").unwrap();
        assert_eq!(default.control.pace, ReloadPace::default());
        let options = tuned(
            "[reload]\ninterval = \"2s\"\nmax_draining = 3\n\
             [connection]\ncalls_after = \"5m\"\nkeepalive_timeout = \"40s\"\n\
             [apply]\ncheck_deadline = \"3m\"\nkept_releases = 9\n\
             [watchdog]\nfailed_looks = 6\nretry = \"1h\"\n",
        )
        .unwrap();
        let pace = options.control.pace;
        assert_eq!(pace.interval, Duration::from_secs(2));
        assert_eq!(pace.max_draining, 3);
        assert_eq!(pace.draining_interval, Duration::from_secs(30));
        let connection = options.connection;
        assert_eq!(connection.calls_after, Duration::from_secs(300));
        assert_eq!(connection.keepalive.timeout, Duration::from_secs(40));
        assert_eq!(connection.heartbeat, default.connection.heartbeat);
        assert_eq!(options.apply.check_deadline, Duration::from_secs(180));
        assert_eq!(options.apply.kept_releases, 9);
        let watchdog = options.control.watchdog;
        assert_eq!(watchdog.failed_looks, 6);
        assert_eq!(watchdog.breaker.retry, Duration::from_secs(3600));
        assert_eq!(watchdog.breaker.restarts, 5);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (text, said) in [
            ("[apply]\nkept_releases = 1", "at least 2"),
            ("[apply]\ncheck_deadline = \"0s\"", "apply.check_deadline"),
            ("[connection]\nheartbeat = \"1ms\"", "connection.heartbeat"),
            ("[watchdog]\nfailed_looks = 0", "at least 1"),
            ("[watchdog]\ninterval = \"0s\"", "watchdog.interval"),
            ("[watchdog]\nintervall = \"9s\"", "intervall"),
        ] {
            let error = format!("{:#}", tuned(text).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
