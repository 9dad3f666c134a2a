//! The calls of the Docker Engine API that are needed, over its unix socket
//! (docs.docker.com/reference/api/engine). Podman answers them too.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::net::UnixStream;

use super::{
    answers::{Created, ExecInspected, Executed, Inspected, Top},
    stream::{Demux, Kept},
};

/// How long a call may take that waits for nothing but the daemon.
const CALL: Duration = Duration::from_secs(10);
/// How long a container gets at most to end by itself.
const GRACE: Duration = Duration::from_secs(3);
/// More of an answer is refused.
const ANSWER_BYTES: usize = 8 << 20;
/// While a command is not said to have ended, though its output has.
const POLL: Duration = Duration::from_millis(20);

/// Why the daemon did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum DockerError {
    #[error("could not connect to {socket}", socket = socket.display())]
    Connect { socket: PathBuf, source: io::Error },
    #[error("the container engine answers {status}: {message}")]
    Refused { status: StatusCode, message: String },
    #[error("could not talk with the container engine: {0}")]
    Http(#[from] hyper::Error),
    #[error("the container engine answers what was not understood: {0}")]
    NotUnderstood(String),
    #[error("the container engine gave no answer within {0:?}")]
    Late(Duration),
}

impl DockerError {
    pub(super) fn is(&self, wanted: StatusCode) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }
}

/// A container engine. Each call has a connection of its own.
#[derive(Debug, Clone)]
pub(super) struct Docker {
    socket: PathBuf,
}

impl Docker {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) async fn inspect(&self, container: &str) -> Result<Inspected, DockerError> {
        self.get(&format!("/containers/{}/json", escaped(container)))
            .await
    }

    pub(super) async fn top(&self, container: &str) -> Result<Top, DockerError> {
        let container = escaped(container);
        self.get(&format!(
            "/containers/{container}/top?ps_args=-eo%20pid,ppid,stat,args"
        ))
        .await
    }

    /// Sends a signal, named without `SIG`, to a container's first process.
    pub(super) async fn signal(&self, container: &str, signal: &str) -> Result<(), DockerError> {
        let container = escaped(container);
        let path = format!("/containers/{container}/kill?signal={signal}");
        self.post(&path, None, CALL).await.map(drop)
    }

    /// Starts a container; one that runs stays as it is.
    pub(super) async fn start(
        &self,
        container: &str,
        deadline: Duration,
    ) -> Result<(), DockerError> {
        let path = format!("/containers/{}/start", escaped(container));
        match self.post(&path, None, deadline).await {
            Err(error) if error.is(StatusCode::NOT_MODIFIED) => Ok(()),
            started => started.map(drop),
        }
    }

    /// Ends a container: it is asked to, and killed after half of the `deadline`.
    pub(super) async fn stop(
        &self,
        container: &str,
        deadline: Duration,
    ) -> Result<(), DockerError> {
        let grace = (deadline / 2).min(GRACE).as_secs();
        let path = format!("/containers/{}/stop?t={grace}", escaped(container));
        match self.post(&path, None, deadline).await {
            Err(error) if error.is(StatusCode::NOT_MODIFIED) => Ok(()),
            stopped => stopped.map(drop),
        }
    }

    /// Runs a command in a container to its end. At the deadline it is left to
    /// itself: the engine has no way to end it.
    pub(super) async fn execute(
        &self,
        container: &str,
        command: &[String],
        environment: &[String],
        deadline: Duration,
    ) -> Result<Executed, DockerError> {
        within(deadline, async {
            let asked = json!({
                "AttachStdout": true, "AttachStderr": true, "Tty": false,
                "Cmd": command, "Env": environment,
            });
            let path = format!("/containers/{}/exec", escaped(container));
            let created = self.post(&path, Some(asked), deadline).await?;
            let Created { id } = understood(&created)?;
            let id = escaped(&id);
            let begin = json!({ "Detach": false, "Tty": false });
            let path = format!("/exec/{id}/start");
            let mut stream = self.send(Method::POST, &path, Some(begin)).await?;
            let (mut demux, mut kept) = (Demux::new(false), Kept::default());
            while let Some(frame) = stream.frame().await {
                if let Some(chunk) = frame?.data_ref() {
                    demux.take(chunk, &mut |said| kept.keep(said));
                }
            }
            loop {
                let ended: ExecInspected = self.get(&format!("/exec/{id}/json")).await?;
                if let (false, Some(exit_code)) = (ended.running, ended.exit_code) {
                    let output = kept.into_text();
                    return Ok(Executed { exit_code, output });
                }
                tokio::time::sleep(POLL).await;
            }
        })
        .await
    }

    /// What a container says on standard error from `since` on, a time in Unix
    /// seconds; with `follow` as it comes, else up to now.
    pub(super) async fn logs(
        &self,
        container: &str,
        since: &str,
        follow: bool,
    ) -> Result<Incoming, DockerError> {
        let container = escaped(container);
        let path = format!(
            "/containers/{container}/logs?stderr=1&stdout=1&since={since}&follow={}",
            u8::from(follow)
        );
        within(CALL, self.send(Method::GET, &path, None)).await
    }

    /// The last `lines` lines that a container said on standard error, and what it
    /// adds to them with `follow`. All it says to a terminal (`tty`) is one stream.
    pub(super) async fn tail(
        &self,
        container: &str,
        lines: u32,
        tty: bool,
        follow: bool,
    ) -> Result<Incoming, DockerError> {
        let path = format!(
            "/containers/{}/logs?stderr=1&stdout={}&tail={lines}&follow={}",
            escaped(container),
            u8::from(tty),
            u8::from(follow)
        );
        within(CALL, self.send(Method::GET, &path, None)).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, DockerError> {
        let answer = within(CALL, async {
            whole(self.send(Method::GET, path, None).await?).await
        });
        understood(&answer.await?)
    }

    async fn post(
        &self,
        path: &str,
        body: Option<serde_json::Value>,
        deadline: Duration,
    ) -> Result<Bytes, DockerError> {
        within(deadline, async {
            whole(self.send(Method::POST, path, body).await?).await
        })
        .await
    }

    /// Sends a request; the body of a good answer, yet to come.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<Incoming, DockerError> {
        let connected = UnixStream::connect(&self.socket).await;
        let stream = connected.map_err(|source| DockerError::Connect {
            socket: self.socket.clone(),
            source,
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the answer, or when nobody wants it any more.
        tokio::spawn(connection);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "docker")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| DockerError::NotUnderstood(error.to_string()))?;
        let response: Response<Incoming> = sender.send_request(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        #[derive(Deserialize)]
        struct Said {
            message: String,
        }
        let body = whole(response.into_body()).await.unwrap_or_default();
        let message = match serde_json::from_slice::<Said>(&body) {
            Ok(said) => said.message,
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        Err(DockerError::Refused {
            status,
            message: message.chars().take(1024).collect(),
        })
    }
}

async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, DockerError>>,
) -> Result<T, DockerError> {
    tokio::time::timeout(deadline, call)
        .await
        .unwrap_or(Err(DockerError::Late(deadline)))
}

async fn whole(body: Incoming) -> Result<Bytes, DockerError> {
    match Limited::new(body, ANSWER_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let long = format!("more than {ANSWER_BYTES} bytes");
            Err(DockerError::NotUnderstood(long))
        }
        Err(error) => Err(DockerError::NotUnderstood(error.to_string())),
    }
}

fn understood<T: DeserializeOwned>(body: &[u8]) -> Result<T, DockerError> {
    serde_json::from_slice(body).map_err(|error| DockerError::NotUnderstood(error.to_string()))
}

/// One segment of a path (RFC 3986, section 2.3): nothing in it leads elsewhere.
fn escaped(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
    // A dot alone would be a step in the path.
    let dots_only = name.bytes().all(|byte| byte == b'.');
    name.bytes()
        .map(|byte| match byte {
            b'.' if !dots_only => ".".to_owned(),
            plain if is_plain(plain) => char::from(plain).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_the_path() {
        for (name, path) in [
            ("web-1_a.b", "web-1_a.b"),
            ("a/../b?x=1#y", "a%2F..%2Fb%3Fx%3D1%23y"),
            ("..", "%2E%2E"),
            ("é ", "%C3%A9%20"),
        ] {
            assert_eq!(escaped(name), path);
        }
    }
}
