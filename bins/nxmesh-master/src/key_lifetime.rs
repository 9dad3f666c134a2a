//! `--key-lifetime`

use std::{fmt, str::FromStr, time::Duration};

use nxmesh_core::model::value::{Time, ValueError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How old an agent's key gets; `None`: as old as the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyLifetime(Option<Time>);

impl KeyLifetime {
    pub(crate) fn as_duration(self) -> Option<Duration> {
        self.0.map(Time::as_duration)
    }
}

impl FromStr for KeyLifetime {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const ERROR: ValueError = ValueError {
            rule: "a lifetime of keys is a number with a unit s, m, h or d, 1s to 3650d, or off",
            example: "90d",
        };
        if matches!(text, "off" | "0") {
            return Ok(Self(None));
        }
        let time: Time = text.parse().map_err(|_| ERROR)?;
        match time.as_duration() {
            Duration::ZERO => Ok(Self(None)),
            short if short < Duration::from_secs(1) => Err(ERROR),
            _ => Ok(Self(Some(time))),
        }
    }
}

impl fmt::Display for KeyLifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => time.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl Serialize for KeyLifetime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyLifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(u64),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Number(number) => number.to_string(),
        };
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::Parser as _;

    use super::*;
    use crate::options::Cli;

    #[test]
    fn keys_live_for_a_time_or_for_ever() {
        let lifetime = |text: &str| {
            let arguments = ["nxmesh-master", "--data-dir", "/d", "--key-lifetime", text];
            let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
            let lifetime = cli
                .layered
                .resolve()
                .map_err(|error| error.to_string())?
                .key_lifetime;
            Ok::<_, String>(lifetime.expect("given"))
        };
        let from_file = |line: &str| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), line).expect("written");
            let arguments = ["nxmesh-master", "--config"];
            let cli = Cli::try_parse_from(
                arguments
                    .iter()
                    .map(OsStr::new)
                    .chain([file.path().as_os_str()]),
            );
            let settings = cli.expect("arguments").layered.resolve()?;
            Ok::<_, anyhow::Error>(settings.key_lifetime)
        };
        for (text, seconds, shown) in [
            ("90d", Some(7_776_000), "7776000s"),
            ("1s", Some(1), "1s"),
            ("3650d", Some(315_360_000), "315360000s"),
            ("0", None, "off"),
            ("0s", None, "off"),
            ("off", None, "off"),
        ] {
            let given = lifetime(text).expect(text);
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(given.as_duration(), expected, "{text}");
            assert_eq!(given.to_string(), shown);
            let written = format!("key_lifetime = \"{text}\"");
            assert_eq!(from_file(&written).expect(text), Some(given));
        }
        let off = from_file("key_lifetime = 0").expect("0 is off");
        assert_eq!(off, Some(KeyLifetime(None)));
        for bad in ["never", "90", "500ms", "3651d", "ninety days"] {
            let error = lifetime(bad).expect_err(bad);
            assert!(error.contains("90d") && error.contains("off"), "{error}");
            let written = format!("key_lifetime = \"{bad}\"");
            assert!(from_file(&written).is_err(), "{bad}");
        }
        assert!(from_file("key_lifetime = 90").is_err());
    }
}
