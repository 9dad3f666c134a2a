//! What an nginx binary says of itself.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use nxmesh_core::contract::renderer::NginxVersion;

use super::{
    enter::{Enter, Run},
    master::Master,
};

/// The version of an nginx binary and how it was built: `nginx -V`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NginxBuild {
    /// The version.
    pub version: NginxVersion,
    /// Its `--prefix`.
    pub prefix: PathBuf,
    /// The configuration it reads without `-c`.
    pub conf_path: PathBuf,
    /// The pid file it writes unless the configuration names another.
    pub pid_path: PathBuf,
    /// The log it writes until the configuration names another; may be `stderr`.
    pub error_log_path: PathBuf,
    /// Modules built in or built beside it, by their `--with-…` names.
    pub modules: BTreeSet<String>,
}

impl NginxBuild {
    /// Asks the binary, for at most `deadline`.
    ///
    /// # Errors
    ///
    /// [`VersionError`] if it cannot be run or does not answer as nginx does.
    pub async fn ask(binary: &Path, deadline: Duration) -> Result<Self, VersionError> {
        Self::ask_where(binary, &Enter::NotNeeded, None, deadline).await
    }

    /// As [`ask`](Self::ask), where the running nginx lives.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask), and if nginx has to run for that and does not.
    pub async fn ask_where(
        binary: &Path,
        enter: &Enter,
        nginx: Option<&Master>,
        deadline: Duration,
    ) -> Result<Self, VersionError> {
        let asked = async {
            let mut run = Run::new(binary, enter, nginx)?;
            run.command.arg("-V");
            run.finish(deadline).await
        };
        let finished = asked.await.map_err(|source| VersionError::Run {
            binary: binary.into(),
            source,
        })?;
        Self::parse(&finished.stderr).ok_or_else(|| VersionError::NotNginx {
            binary: binary.into(),
        })
    }

    /// Reads the text of `nginx -V`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Other builds say `nginx/1.22.1 (Ubuntu)`, forks `openresty/1.21.4.1`.
        let version = text
            .lines()
            .find_map(|line| line.strip_prefix("nginx version: "))?
            .split_once('/')?
            .1
            .split([' ', '-'])
            .next()?;
        let numbers: Vec<&str> = version.splitn(4, '.').take(3).collect();
        let version = numbers.join(".").parse().ok()?;
        let arguments = text
            .lines()
            .find_map(|line| line.strip_prefix("configure arguments:"))
            .map(words)
            .unwrap_or_default();
        let value = |name: &str| {
            arguments.iter().find_map(|argument| {
                let value = argument.strip_prefix(name)?.strip_prefix('=')?;
                Some(PathBuf::from(value))
            })
        };
        let prefix = value("--prefix").unwrap_or_else(|| "/usr/local/nginx".into());
        let below =
            |name, default: &str| prefix.join(value(name).unwrap_or_else(|| default.into()));
        let modules = arguments
            .iter()
            .filter_map(|argument| argument.strip_prefix("--with-"))
            .map(|argument| argument.split('=').next().unwrap_or(argument))
            .filter(|name| {
                name.ends_with("_module") || ["stream", "mail", "threads"].contains(name)
            })
            .map(str::to_owned)
            .collect();
        Some(Self {
            version,
            conf_path: below("--conf-path", "conf/nginx.conf"),
            pid_path: below("--pid-path", "logs/nginx.pid"),
            error_log_path: match value("--error-log-path") {
                Some(path) if path == Path::new("stderr") => path,
                _ => below("--error-log-path", "logs/error.log"),
            },
            modules,
            prefix,
        })
    }
}

/// Splits at spaces outside single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => {
                if let Some(word) = words.last_mut() {
                    word.push(other);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Why an nginx binary could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// The binary cannot be run or does not end.
    #[error("could not run {binary} -V")]
    Run {
        /// The binary.
        binary: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The binary is something else.
    #[error("{binary} -V does not answer as nginx does")]
    NotNginx {
        /// The binary.
        binary: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_build_is_read() {
        let build = NginxBuild::parse(
            "nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.22 (running with OpenSSL 3.0.19)\n\
             TLS SNI support enabled\nconfigure arguments: --with-cc-opt='-g -O2 -fPIC' \
             --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf --error-log-path=stderr \
             --with-compat --with-http_v2_module --with-stream=dynamic\n",
        )
        .unwrap();
        assert_eq!(build.version.to_string(), "1.22.1");
        assert_eq!(build.conf_path, Path::new("/etc/nginx/nginx.conf"));
        assert_eq!(build.pid_path, Path::new("/usr/share/nginx/logs/nginx.pid"));
        assert_eq!(build.error_log_path, Path::new("stderr"));
        assert_eq!(
            build.modules.iter().collect::<Vec<_>>(),
            ["http_v2_module", "stream"]
        );
    }

    #[test]
    fn other_builds_are_read() {
        for (text, version) in [
            ("nginx version: nginx/1.18.0 (Ubuntu)\n", "1.18.0"),
            ("nginx version: openresty/1.21.4.1\n", "1.21.4"),
            ("nginx version: nginx/1.27.4-alpine\n", "1.27.4"),
        ] {
            let build = NginxBuild::parse(text).unwrap();
            assert_eq!(build.version.to_string(), version);
            assert_eq!(
                build.conf_path,
                Path::new("/usr/local/nginx/conf/nginx.conf")
            );
        }
    }

    #[test]
    fn other_programs_are_refused() {
        for text in [
            "",
            "httpd 2.4",
            "nginx version: \n",
            "nginx version: nginx/x.y",
        ] {
            assert_eq!(NginxBuild::parse(text), None, "{text}");
        }
    }
}
