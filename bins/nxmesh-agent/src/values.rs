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

/// A choice among words.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $what:literal, has: [$($has:literal => $variant:ident),+]) => {
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
    has: ["auto" => Auto, "grpc" => Grpc, "websocket" => WebSocket]
}
choice! {
    /// How nginx is started and reloaded.
    ReloaderChoice, "reloader",
    has: ["signal" => Signal, "systemd" => Systemd, "command" => Command, "container" => Container]
}
choice! {
    /// Where nginx runs, seen from the agent.
    DeploymentMode, "deployment mode",
    has: ["standalone" => Standalone, "docker_sidecar" => DockerSidecar, "kubernetes_sidecar" => KubernetesSidecar]
}

/// A command as words: `nginx -t -c {conf}`, split at spaces, or
/// `["/opt/my nginx", "-t"]` where words have spaces of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl FromStr for Words {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<String> = if text.trim_start().starts_with('[') {
            serde_json::from_str(text).map_err(|error| format!("no list of words: {error}"))?
        } else {
            text.split_whitespace().map(str::to_owned).collect()
        };
        if let Some(quoted) = words.iter().find(|word| word.contains(['"', '\'']))
            && !text.trim_start().starts_with('[')
        {
            return Err(format!(
                "no shell reads {quoted}; words with spaces go into a list: [\"program\", \"its argument\"]"
            ));
        }
        if words.first().is_none_or(String::is_empty) {
            return Err("a command begins with a program".to_owned());
        }
        Ok(Self(words))
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            List(Vec<String>),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::List(words) if words.first().is_some_and(|it| !it.is_empty()) => {
                Ok(Self(words))
            }
            Written::List(_) => Err(de::Error::custom("a command begins with a program")),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

/// A host and a port, resolved when it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPort(pub(crate) String);

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once(':');
        let fine = parts.is_some_and(|(host, port)| {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let named =
                !host.is_empty() && !host.contains(|it: char| it == ':' || it.is_whitespace());
            (bracketed || named) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        match fine {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "`{text}` is no host and port, for example statsd.example.com:8125"
            )),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(HostPort);

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

/// In files: one master's URL, or a list of them.
pub(crate) mod one_or_many {
    use std::fmt;

    use nxmesh_agent_lib::transport::MasterUrl;
    use serde::{
        Deserializer, Serialize as _, Serializer,
        de::{self, SeqAccess, Visitor},
    };

    pub(crate) fn serialize<S: Serializer>(
        urls: &Option<Vec<MasterUrl>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match urls.as_deref() {
            Some([one]) => one.serialize(serializer),
            urls => urls.serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<MasterUrl>>, D::Error> {
        deserializer.deserialize_any(Urls).map(Some)
    }

    struct Urls;

    impl<'de> Visitor<'de> for Urls {
        type Value = Vec<MasterUrl>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(
                "a master's URL, for example https://master.example.com:8443, or a list of them",
            )
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            let url = text.parse().map_err(E::custom)?;
            Ok(vec![url])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut urls = Vec::new();
            while let Some(url) = list.next_element()? {
                urls.push(url);
            }
            if urls.is_empty() {
                return Err(de::Error::invalid_length(0, &self));
            }
            Ok(urls)
        }
    }
}
