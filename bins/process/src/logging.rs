//! Logs on standard error, as text for people or as JSON for collectors.

use std::io::{self, IsTerminal};

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged and how. As flags `--log` and `--log-format`, in a file the table `[log]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogOptions {
    /// Least severe level that is logged, for all parts or each: `info,nxmesh_agent_lib=debug`
    /// [default: info]
    #[arg(id = "log", long = "log", env = "NXMESH_LOG", value_name = "FILTER")]
    pub filter: Option<String>,
    /// Form of a log line [default: text]
    #[arg(
        id = "log_format",
        long = "log-format",
        env = "NXMESH_LOG_FORMAT",
        value_enum,
        value_name = "FORMAT"
    )]
    pub format: Option<LogFormat>,
}

crate::overlay!(LogOptions { filter, format });

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One readable line per event, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The filter does not parse.
    ///
    /// The parser's own error only repeats itself, so it is left out.
    #[error("`{filter}` is not a log filter; an example: info,nxmesh_agent_lib=debug")]
    Filter {
        /// As it was given.
        filter: String,
    },
    /// The process logs already.
    #[error("could not install the logger")]
    Install(#[source] tracing_subscriber::util::TryInitError),
}

/// Installs the process-wide logger. Call it once, from `main`.
///
/// Colour is used only on a terminal, and not if `NO_COLOR` is set or `TERM` is `dumb`
/// (no-color.org).
///
/// # Errors
///
/// [`LogError::Filter`] for a filter that does not parse, [`LogError::Install`] if there is a
/// logger already.
pub fn install(options: &LogOptions) -> Result<(), LogError> {
    let filter = parse_filter(options.filter.as_deref().unwrap_or("info"))?;
    let colour = wants_colour(io::stderr().is_terminal(), |name| std::env::var_os(name));
    let logger = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(colour);
    match options.format.unwrap_or_default() {
        LogFormat::Text => logger.with(lines).try_init(),
        LogFormat::Json => logger.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(LogError::Install)
}

// Levels by target are all that is promised; filters on spans and fields would bring a regular
// expression engine into every program.
fn parse_filter(filter: &str) -> Result<Targets, LogError> {
    filter.parse().map_err(|_| LogError::Filter {
        filter: filter.to_owned(),
    })
}

fn wants_colour(terminal: bool, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let unable = variable("TERM").is_some_and(|value| value == "dumb");
    terminal && !refused && !unable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_needs_a_terminal_that_wants_it() {
        let none = |_: &str| None;
        assert!(wants_colour(true, none));
        assert!(!wants_colour(false, none));
        assert!(!wants_colour(true, |name| (name == "NO_COLOR").then(|| "1".into())));
        assert!(wants_colour(true, |name| (name == "NO_COLOR").then(|| "".into())));
        assert!(!wants_colour(true, |name| (name == "TERM").then(|| "dumb".into())));
    }

    #[test]
    fn filters_are_checked() {
        assert!(parse_filter("warn,nxmesh_agent_lib=debug").is_ok());
        let error = parse_filter("nxmesh=loud").unwrap_err();
        assert!(
            error.to_string().starts_with("`nxmesh=loud` is not"),
            "{error}"
        );
    }

    #[test]
    fn options_come_from_a_table() {
        let options: LogOptions = toml::from_str("filter = \"debug\"\nformat = \"json\"").unwrap();
        assert_eq!(options.filter.as_deref(), Some("debug"));
        assert_eq!(options.format, Some(LogFormat::Json));
    }
}
