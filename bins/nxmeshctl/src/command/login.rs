//! `nxmeshctl login` and `logout`

use std::io::{IsTerminal as _, Read as _};

use anyhow::{Context as _, anyhow};
use nxmesh_core::api::{LoginRequest, LoginResponse};
use nxmesh_process::exit::{Exit, OrExit as _};

use crate::{
    client::{Client, read_ca},
    context::{self, Login},
    options::{LoginArguments, ServerOptions},
    output,
};

pub(crate) async fn run(
    options: &ServerOptions,
    arguments: LoginArguments,
) -> anyhow::Result<Exit> {
    let server = options
        .server
        .clone()
        .ok_or_else(|| {
            anyhow!(
                "--server URL says which master to log in to, for example http://127.0.0.1:8080"
            )
        })
        .or_exit(Exit::Usage)?;
    let ca_pem = read_ca(options)?;
    let client = Client::connect(&server, ca_pem.as_deref(), None, options.workspace.clone())?;
    let request = LoginRequest {
        username: arguments.username.clone(),
        password: password(&arguments)?,
    };
    let response: LoginResponse = client.post("auth/login", &request).await?;
    let path = context::path(options)?;
    let login = Login {
        server,
        ca_pem,
        username: arguments.username,
        access_token: response.access_token,
    };
    context::store(&path, &login)?;
    output::line(&format!(
        "logged in to {} as {} for {} s",
        login.server, login.username, response.expires_in
    ))?;
    Ok(Exit::Success)
}

/// Removes the remembered login.
pub(crate) fn forget(options: &ServerOptions) -> anyhow::Result<Exit> {
    let path = context::path(options)?;
    match std::fs::remove_file(&path) {
        Ok(()) => output::line("logged out")?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            output::line("not logged in")?
        }
        Err(error) => {
            return Err(error).with_context(|| format!("could not remove {}", path.display()));
        }
    }
    Ok(Exit::Success)
}

fn password(arguments: &LoginArguments) -> anyhow::Result<String> {
    let text = match &arguments.password_file {
        Some(file) if file.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .take(4096)
                .read_to_string(&mut text)
                .context("could not read the password")?;
            text
        }
        Some(file) => std::fs::read_to_string(file)
            .with_context(|| format!("could not read the password in {}", file.display()))
            .or_exit(Exit::Usage)?,
        None if std::io::stdin().is_terminal() => dialoguer::Password::new()
            .with_prompt("password")
            .interact()
            .context("could not ask for the password")?,
        None => {
            return Err(anyhow!("there is no terminal to ask for the password on; give --password-file FILE, or - for standard input"))
                .or_exit(Exit::Usage);
        }
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
