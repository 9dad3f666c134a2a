//! What tells one nginx from another on the same machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One nginx among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The configuration it runs with, absolute: its `-c`.
    pub conf: PathBuf,
    /// Where it is expected to write its pid, if known.
    pub pid_file: Option<PathBuf>,
    /// The configuration the binary reads without `-c`, if known.
    pub default_conf: Option<PathBuf>,
}

/// Whose configuration the arguments in a master's title name.
pub(super) enum Found {
    Ours,
    Unclear,
    Other,
}

pub(super) fn conf_in(arguments: &str, instance: &Instance) -> Found {
    let conf = instance.conf.to_string_lossy();
    if let Some((_, rest)) = arguments.split_once(&format!("-c {conf}"))
        && (rest.is_empty() || rest.starts_with(' '))
    {
        return Found::Ours;
    }
    let mut words = arguments.split(' ').filter(|word| !word.is_empty());
    let (mut named, mut prefix) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "-c" => named = words.next(),
            "-p" => prefix = words.next(),
            _ => {}
        }
    }
    let Some(named) = named else {
        let by_default = instance.default_conf.as_ref() == Some(&instance.conf);
        return if by_default && prefix.is_none() {
            Found::Ours
        } else {
            Found::Unclear
        };
    };
    let absolute = prefix.map_or_else(
        || PathBuf::from(named),
        |prefix| Path::new(prefix).join(named),
    );
    let same = fs::canonicalize(&absolute)
        .is_ok_and(|path| fs::canonicalize(&instance.conf).is_ok_and(|ours| ours == path));
    if same {
        Found::Ours
    } else if arguments.ends_with(named) && conf.starts_with(named) {
        Found::Unclear
    } else {
        Found::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(conf: &str) -> Instance {
        Instance {
            conf: conf.into(),
            pid_file: None,
            default_conf: Some("/etc/nginx/nginx.conf".into()),
        }
    }

    #[test]
    fn masters_are_told_apart_by_their_configuration() {
        let ours = instance("/srv/a/nginx.conf");
        for (arguments, expected) in [
            ("nginx -c /srv/a/nginx.conf", true),
            (
                "/usr/sbin/nginx -p /srv/a/ -c /srv/a/nginx.conf -g daemon on;",
                true,
            ),
            ("nginx -c /srv/a/nginx.conf2", false),
            ("nginx -c /srv/b/nginx.conf", false),
            ("nginx -g daemon on;", false),
            ("nginx", false),
        ] {
            let found = matches!(conf_in(arguments, &ours), Found::Ours);
            assert_eq!(found, expected, "{arguments}");
        }
        let default = instance("/etc/nginx/nginx.conf");
        assert!(matches!(
            conf_in("nginx -g daemon on;", &default),
            Found::Ours
        ));
        assert!(matches!(
            conf_in("nginx -p /tmp/x", &default),
            Found::Unclear
        ));
    }

    #[test]
    fn a_cut_title_is_believed_only_with_the_pid_file() {
        let ours = instance("/srv/a/nginx.conf");
        assert!(matches!(
            conf_in("nginx -c /srv/a/ng", &ours),
            Found::Unclear
        ));
    }
}
