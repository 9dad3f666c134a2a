//! Checks over HTTP, as the settings file names them.

use anyhow::{Result, anyhow};
use nxmesh_agent_lib::health::HttpCheck;
use nxmesh_core::model::value::{LogStatus, Time};
use nxmesh_process::exit::{Exit, OrExit as _};
use serde::{Deserialize, Serialize};

/// `[[health_checks]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthCheckSettings {
    name: String,
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expect_status: Vec<LogStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_contains: Option<String>,
    /// Default: 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<Time>,
    /// Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<Time>,
}

const MOST: usize = 64;

pub(crate) fn checks(settings: &[HealthCheckSettings]) -> Result<Vec<HttpCheck>> {
    let mut checks: Vec<HttpCheck> = Vec::new();
    for one in settings {
        let check = check(one).or_exit(Exit::Invalid)?;
        if checks.iter().any(|known| known.name() == check.name()) {
            return Err(anyhow!("two health_checks are called {:?}", one.name))
                .or_exit(Exit::Invalid);
        }
        checks.push(check);
    }
    match checks.len() {
        0..=MOST => Ok(checks),
        count => {
            Err(anyhow!("there are {count} health_checks; {MOST} at most")).or_exit(Exit::Invalid)
        }
    }
}

fn check(settings: &HealthCheckSettings) -> Result<HttpCheck> {
    let mut check = HttpCheck::new(&settings.name, &settings.url)?;
    if let Some(method) = &settings.method {
        check = check.method(method)?;
    }
    if let Some(host) = &settings.host {
        check = check.host(host)?;
    }
    if let Some(text) = &settings.body_contains {
        check = check.contains(text);
    }
    let span = |time: Option<Time>, seconds| {
        time.map_or(std::time::Duration::from_secs(seconds), Time::as_duration)
    };
    Ok(check
        .expect(settings.expect_status.clone())
        .timing(span(settings.interval, 10), span(settings.timeout, 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        health_checks: Vec<HealthCheckSettings>,
    }

    fn read(text: &str) -> Result<Vec<HttpCheck>> {
        checks(&toml::from_str::<File>(text)?.health_checks)
    }

    #[test]
    fn a_file_names_checks_and_mistakes_are_told() {
        let one = "[[health_checks]]\nname = \"a\"\nurl = \"http://127.0.0.1/\"\n";
        let all = "expect_status = [200, \"3xx\"]\nmethod = \"HEAD\"\nhost = \"a.example\"\n\
                   body_contains = \"ok\"\ntimeout = \"500ms\"\ninterval = \"5s\"\n";
        assert_eq!(read(&format!("{one}{all}")).unwrap().len(), 1);
        for (bad, said) in [
            (format!("{one}{one}"), "two health_checks"),
            (one.replace("127.0.0.1", "10.0.0.1"), "this machine"),
            (format!("{one}expect_status = [20]\n"), "three digits"),
            (format!("{one}colour = 1\n"), "colour"),
        ] {
            let error = format!("{:#}", read(&bad).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
