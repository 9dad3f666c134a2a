//! What driving a container takes.

use http::StatusCode;

use super::{ContainerReloader, docker::DockerError};
use crate::reload::needs::Unmet;

impl ContainerReloader {
    /// Looks whether all is there that this needs.
    ///
    /// # Errors
    ///
    /// [`Unmet`] names the first thing that is missing.
    pub async fn verify(&self) -> Result<(), Unmet> {
        let name = &self.options.container;
        let inspected = self
            .docker
            .inspect(name)
            .await
            .map_err(|error| self.unmet(error))?;
        for folder in &self.options.shared {
            let mounts = &inspected.mounts;
            if !mounts.iter().any(|it| folder.starts_with(&it.destination)) {
                let folder = folder.display();
                return Err(Unmet::new(
                    format!("the container {name} does not see {folder}"),
                    format!(
                        "start it with the volume -v {folder}:{folder}, as nginx reads there what the agent writes"
                    ),
                ));
            }
        }
        if !inspected.state.running {
            return Ok(());
        }
        let table = self.table(&inspected).await.map_err(|error| {
            Unmet::new(
                format!("the processes of {name} could not be listed: {error}"),
                "the engine runs `ps` for that; is it installed on its machine?",
            )
        })?;
        table.takes_signals().map_err(|first| {
            Unmet::new(
                format!("the first process of {name} is `{first}`, which does not pass SIGHUP on"),
                "let nginx be the container's own command (in a script: `exec nginx`), or run it with --init",
            )
        })
    }

    fn unmet(&self, error: DockerError) -> Unmet {
        let socket = self.docker.socket().display();
        let name = &self.options.container;
        let remedy = match &error {
            DockerError::Connect { source, .. } => match source.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    format!("run the agent as root or in the group that owns {socket}")
                }
                _ => format!(
                    "does the engine run? In a container, mount its socket: -v {socket}:{socket}; elsewhere name it with --container-socket"
                ),
            },
            error if error.is(StatusCode::NOT_FOUND) => {
                "make it, or name another with --container".to_owned()
            }
            _ => format!("is {socket} the socket of a container engine?"),
        };
        let missing = match &error {
            DockerError::Connect { source, .. } => format!("{error}: {source}"),
            _ => format!("the container {name} could not be inspected: {error}"),
        };
        Unmet::new(missing, remedy)
    }
}
