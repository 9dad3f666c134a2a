//! Times that most fleets leave as they are.

use std::time::Duration;

use anyhow::{Result, anyhow};
use nxmesh_core::model::value::Time;
use nxmesh_master_lib::MasterConfig;
use nxmesh_process::exit::{Exit, OrExit as _};
use serde::{Deserialize, Serialize};

/// `[fleet]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FleetSettings {
    /// How often agents are told to report; three that are missed end a session. Default: 30s.
    heartbeat_interval: Option<Time>,
    /// An offer without a final answer is made again after this long. Default: 2m.
    offer_timeout: Option<Time>,
    /// The longest pause after the first failure that can pass. Default: 5s.
    retry_first: Option<Time>,
    /// The longest pause ever. Default: 5m.
    retry_most: Option<Time>,
    /// An agent away for this long is not waited for in rollouts. Default: 10s.
    disconnect_grace: Option<Time>,
    /// A ping is sent to an agent after so long without traffic. Default: 10s.
    keepalive_interval: Option<Time>,
    /// Its connection is given up so long after an unanswered ping. Default: 20s.
    keepalive_timeout: Option<Time>,
}

impl FleetSettings {
    /// Has `config` be as the settings want.
    ///
    /// # Errors
    ///
    /// Names what would keep a master from working.
    pub(crate) fn apply_to(&self, config: &mut MasterConfig) -> Result<()> {
        let second = Duration::from_secs(1);
        let (fleet, keepalive) = (&mut config.fleet, &mut config.keepalive);
        for (name, time, to, least) in [
            (
                "heartbeat_interval",
                self.heartbeat_interval,
                &mut fleet.heartbeat_interval,
                second,
            ),
            (
                "offer_timeout",
                self.offer_timeout,
                &mut fleet.offer_timeout,
                second,
            ),
            (
                "retry_first",
                self.retry_first,
                &mut fleet.retry_first,
                second,
            ),
            ("retry_most", self.retry_most, &mut fleet.retry_most, second),
            (
                "disconnect_grace",
                self.disconnect_grace,
                &mut fleet.disconnect_grace,
                Duration::ZERO,
            ),
            (
                "keepalive_interval",
                self.keepalive_interval,
                &mut keepalive.interval,
                second,
            ),
            (
                "keepalive_timeout",
                self.keepalive_timeout,
                &mut keepalive.timeout,
                second,
            ),
        ] {
            let Some(time) = time else { continue };
            let span = time.as_duration();
            if span < least {
                return Err(anyhow!("fleet.{name} is at least 1s, for example 30s"))
                    .or_exit(Exit::Invalid);
            }
            *to = span;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use nxmesh_process::config::layered;

    use super::*;
    use crate::options::Settings;

    /// As a settings file with this table has it.
    fn tuned(text: &str) -> Result<MasterConfig> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("master.toml");
        std::fs::write(&file, format!("[fleet]\n{text}\n"))?;
        let settings = layered(Settings::default(), Some(&file))?;
        let mut config = MasterConfig::default();
        settings.fleet.unwrap_or_default().apply_to(&mut config)?;
        Ok(config)
    }

    #[test]
    fn what_is_set_counts_and_what_makes_no_sense_is_told() {
        let config = tuned("heartbeat_interval = \"5s\"\ndisconnect_grace = \"0s\"").unwrap();
        assert_eq!(config.fleet.heartbeat_interval, Duration::from_secs(5));
        assert_eq!(config.fleet.disconnect_grace, Duration::ZERO);
        assert_eq!(config.keepalive, MasterConfig::default().keepalive);
        for (text, said) in [
            ("heartbeat_interval = \"0s\"", "fleet.heartbeat_interval"),
            ("keepalive_timeout = \"9ms\"", "fleet.keepalive_timeout"),
            ("heartbeat = \"9s\"", "heartbeat"),
        ] {
            let error = format!("{:#}", tuned(text).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
