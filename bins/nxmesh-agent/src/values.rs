//! Values of settings that are read and written as text.

use std::{fmt, str::FromStr};

use nxmesh_core::model::Labels;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }
    };
}

/// A choice among parts of which some are not in this build. Those are told
/// apart from words nobody knows.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $what:literal, has: [$($has:literal => $variant:ident),+], lacks: [$($lacks:literal),+]) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($variant),+
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($has => Ok(Self::$variant),)+
                    $($lacks)|+ => Err(format!(
                        concat!("this build does not have the ", $what, " `{}`; it has {}"),
                        text, [$($has),+].join(", ")
                    )),
                    _ => Err(format!(concat!("no such ", $what, "; there is {}"), [$($has),+].join(", "))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $has),+ })
            }
        }

        as_text!($name);
    };
}

choice! {
    /// How the master is reached.
    TransportChoice, "transport",
    has: ["auto" => Auto, "grpc" => Grpc], lacks: ["websocket"]
}
choice! {
    /// How nginx is started and reloaded.
    ReloaderChoice, "reloader",
    has: ["signal" => Signal], lacks: ["systemd", "command", "container"]
}
choice! {
    /// Where nginx runs, seen from the agent.
    DeploymentMode, "deployment mode",
    has: ["standalone" => Standalone], lacks: ["docker_sidecar", "kubernetes_sidecar"]
}

/// Labels as `k=v,k=v`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelList(pub(crate) Labels);

impl FromStr for LabelList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut labels = Labels::new();
        for pair in text
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
        {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("`{pair}` is no label, for example env=prod"))?;
            let key = key.parse().map_err(|error| format!("{key}: {error}"))?;
            let value = value.parse().map_err(|error| format!("{value}: {error}"))?;
            if labels.insert(key, value).is_some() {
                return Err(format!("`{pair}`: the key is there twice"));
            }
        }
        Ok(Self(labels))
    }
}

impl fmt::Display for LabelList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

as_text!(LabelList);
