//! The proxy that the environment names, as other tools read it.

use anyhow::{Context as _, Result};
use nxmesh_agent_lib::transport::Proxy;
use nxmesh_process::exit::{Exit, OrExit as _};

/// The proxy of `HTTPS_PROXY` or `https_proxy`, but for whom `NO_PROXY` or
/// `no_proxy` name. Empty variables count as absent.
pub(crate) fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>> {
    let first = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| {
            let value = variable(name).filter(|value| !value.trim().is_empty())?;
            Some((name, value))
        })
    };
    let Some((name, value)) = first(["HTTPS_PROXY", "https_proxy"]) else {
        return Ok(None);
    };
    let proxy: Proxy = value.trim().parse().context(name).or_exit(Exit::Invalid)?;
    let exceptions = first(["NO_PROXY", "no_proxy"]);
    Ok(Some(
        proxy.except(&exceptions.map(|it| it.1).unwrap_or_default()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Result<Option<Proxy>> {
        of_environment(|name| {
            let mut set = set.iter().filter(|(known, _)| *known == name);
            set.next().map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_usual_variables_are_read() {
        let master = "https://master.internal".parse().unwrap();
        assert!(
            of(&[("https_proxy", ""), ("HTTP_PROXY", "http://p")])
                .unwrap()
                .is_none()
        );
        for name in ["HTTPS_PROXY", "https_proxy"] {
            let proxy = of(&[(name, "http://p:3128")]).unwrap().unwrap();
            assert!(proxy.leads_to(&master));
            for exception in ["NO_PROXY", "no_proxy"] {
                let set = [(name, "p:3128"), (exception, "other,.internal")];
                assert!(!of(&set).unwrap().unwrap().leads_to(&master));
            }
        }
    }

    #[test]
    fn a_mistake_names_the_variable_and_keeps_the_password() {
        let error = of(&[("HTTPS_PROXY", "https://u:secret@p")]).unwrap_err();
        let words = format!("{error:#}");
        assert!(
            words.contains("HTTPS_PROXY") && words.contains("http://proxy"),
            "{words}"
        );
        assert!(!words.contains("secret"), "{words}");
    }
}
