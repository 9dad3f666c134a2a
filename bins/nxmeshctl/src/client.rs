//! The master's REST interface.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, anyhow};
use nxmesh_core::{
    api::{Page, ProblemDetails, RolloutView},
    model::value::WorkspaceName,
};
use nxmesh_process::exit::{Exit, OrExit as _};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{context, options::ServerOptions};

/// A connection to one master, as one user, in one workspace.
pub(crate) struct Client {
    http: reqwest::Client,
    server: String,
    token: Option<String>,
    workspace: WorkspaceName,
}

/// A resource with its ETag.
pub(crate) struct Tagged {
    pub(crate) etag: String,
    pub(crate) document: Value,
}

impl Client {
    /// A client for the master that was logged in to, or that the options name.
    pub(crate) fn new(options: &ServerOptions) -> anyhow::Result<Self> {
        let login = context::load(&context::path(options)?)?;
        let token = match (&options.access_token_file, std::env::var("NXMESH_TOKEN")) {
            (Some(file), _) => Some(
                std::fs::read_to_string(file)
                    .with_context(|| format!("could not read the token in {}", file.display()))?
                    .trim()
                    .to_owned(),
            ),
            (None, Ok(token)) if !token.is_empty() => Some(token),
            _ => None,
        };
        let server = options
            .server
            .clone()
            .or_else(|| login.as_ref().map(|login| login.server.clone()))
            .ok_or_else(|| anyhow!("no server: log in first, or give --server URL"))
            .or_exit(Exit::NotAuthenticated)?;
        // A token is for the master that gave it and nobody else.
        let login = login.filter(|login| login.server == server);
        let ca_pem = match &options.ca_file {
            Some(_) => read_ca(options)?,
            None => login.as_ref().and_then(|login| login.ca_pem.clone()),
        };
        let token = token.or_else(|| login.map(|login| login.access_token));
        Self::connect(&server, ca_pem.as_deref(), token, options.workspace.clone())
    }

    /// A client for `server` with nothing remembered.
    pub(crate) fn connect(
        server: &str,
        ca_pem: Option<&str>,
        token: Option<String>,
        workspace: WorkspaceName,
    ) -> anyhow::Result<Self> {
        let server = server.trim_end_matches('/').to_owned();
        if !(server.starts_with("https://") || server.starts_with("http://")) {
            return Err(anyhow!(
                "{server:?} is not an http or https URL, for example http://127.0.0.1:8080"
            ))
            .or_exit(Exit::Usage);
        }
        // A password or a token in plain text belongs on this machine only.
        if server.starts_with("http://") && !is_this_machine(&server) {
            return Err(anyhow!(
                "{server} would see the password in plain text on its way; use https, for example https://master.example.com:8080"
            ))
            .or_exit(Exit::Usage);
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = ca_pem {
            let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .context("the file of the authority holds no PEM certificate")
                .or_exit(Exit::Usage)?;
            builder = builder.tls_certs_only(roots);
        }
        let http = builder
            .build()
            .context("could not set up the HTTP client")?;
        Ok(Self {
            http,
            server,
            token,
            workspace,
        })
    }

    pub(crate) const fn workspace(&self) -> &WorkspaceName {
        &self.workspace
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}/api/v1/{path}", self.server));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn in_workspace(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("workspaces/{}/{path}", self.workspace))
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(|| format!("could not reach the master at {}", self.server))
            .or_exit(Exit::Unreachable)?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refusal(response).await)
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response = self.send(request).await?;
        let text = response
            .text()
            .await
            .context("could not read the master's answer")
            .or_exit(Exit::Unreachable)?;
        serde_json::from_str(&text)
            .context("the master's answer makes no sense; is it an NxMesh master?")
    }

    /// `POST` outside a workspace.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.read(self.request(Method::POST, path).json(body)).await
    }

    /// `POST` within the workspace, a JSON body.
    pub(crate) async fn post_in<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.read(
            self.in_workspace(Method::POST, path)
                .query(query)
                .json(body),
        )
        .await
    }

    /// `POST` of YAML documents within the workspace.
    pub(crate) async fn post_documents<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        yaml: String,
    ) -> anyhow::Result<T> {
        let request = self.in_workspace(Method::POST, path).query(query);
        self.read(
            request
                .header(header::CONTENT_TYPE, "application/yaml")
                .body(yaml),
        )
        .await
    }

    /// `GET` within the workspace.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<T> {
        self.read(self.in_workspace(Method::GET, path).query(query))
            .await
    }

    /// `GET` outside a workspace.
    pub(crate) async fn get_anywhere<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<T> {
        self.read(self.request(Method::GET, path).query(query))
            .await
    }

    /// `GET` within the workspace, for an answer that comes bit by bit.
    pub(crate) async fn stream(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<Response> {
        /// The master ends it after ten minutes.
        const LONGEST: Duration = Duration::from_secs(660);
        let request = self.in_workspace(Method::GET, path).query(query);
        self.send(request.timeout(LONGEST)).await
    }

    /// Every page of a list.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<Vec<T>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query: Vec<(&str, &str)> = query.to_vec();
            query.push(("limit", "1000"));
            if let Some(cursor) = &cursor {
                query.push(("cursor", cursor));
            }
            let page: Page<T> = self.get(path, &query).await?;
            items.extend(page.items);
            // A cursor that stands still would never end.
            match page.next {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => return Ok(items),
            }
        }
    }

    /// A resource and its ETag.
    pub(crate) async fn tagged(&self, path: &str) -> anyhow::Result<Tagged> {
        let response = self.send(self.in_workspace(Method::GET, path)).await?;
        let etag = response
            .headers()
            .get(header::ETAG)
            .and_then(|etag| etag.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let document = response
            .json()
            .await
            .context("the master's answer makes no sense; is it an NxMesh master?")?;
        Ok(Tagged { etag, document })
    }

    /// Deletes what has this ETag; the answer may be empty.
    pub(crate) async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        etag: &str,
    ) -> anyhow::Result<Option<T>> {
        let mut request = self.in_workspace(Method::DELETE, path);
        if !etag.is_empty() {
            request = request.header(header::IF_MATCH, etag);
        }
        let response = self.send(request).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        response
            .json()
            .await
            .map(Some)
            .context("the master's answer makes no sense; is it an NxMesh master?")
    }

    /// A rollout; answered once it differs from `seen`, or after `wait`.
    pub(crate) async fn rollout(
        &self,
        revision: u64,
        seen: Option<&str>,
        wait: Duration,
    ) -> anyhow::Result<RolloutView> {
        let wait = wait.as_secs().clamp(1, 20).to_string();
        let mut query = Vec::new();
        if let Some(seen) = seen {
            query.extend([("seen", seen), ("wait", wait.as_str())]);
        }
        self.get(&format!("rollouts/{revision}"), &query).await
    }
}

fn is_this_machine(url: &str) -> bool {
    let url = reqwest::Url::parse(url).ok();
    let host = url
        .as_ref()
        .and_then(|url| url.host_str())
        .unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The authority the options name.
pub(crate) fn read_ca(options: &ServerOptions) -> anyhow::Result<Option<String>> {
    let Some(file) = &options.ca_file else {
        return Ok(None);
    };
    std::fs::read_to_string(file)
        .map(Some)
        .with_context(|| format!("could not read the authority in {}", file.display()))
        .or_exit(Exit::Usage)
}

/// Turns a refusal into an error with everything the master says and the right exit code.
async fn refusal(response: Response) -> anyhow::Error {
    let status = response.status();
    let problem: ProblemDetails = response.json().await.unwrap_or_default();
    let exit = match status {
        StatusCode::BAD_REQUEST
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::PAYLOAD_TOO_LARGE => Exit::Invalid,
        StatusCode::UNAUTHORIZED => Exit::NotAuthenticated,
        StatusCode::FORBIDDEN => Exit::NotAllowed,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::CONFLICT
        | StatusCode::PRECONDITION_FAILED
        | StatusCode::PRECONDITION_REQUIRED => Exit::Conflict,
        _ => Exit::Failure,
    };
    let title = if problem.title.is_empty() {
        status.to_string()
    } else {
        problem.title
    };
    let mut text = title;
    if !problem.detail.is_empty() {
        text.push_str(": ");
        text.push_str(&problem.detail);
    }
    if !problem.code.is_empty() {
        text.push_str(&format!(" [{}]", problem.code));
    }
    for error in &problem.errors {
        text.push_str(&format!("\n  {error}"));
    }
    if exit == Exit::NotAuthenticated {
        text.push_str("\nlog in with: nxmeshctl login --server URL --username NAME");
    }
    match Err::<(), _>(anyhow!(text)).or_exit(exit) {
        Err(error) => error,
        Ok(()) => unreachable!("an error stays an error"),
    }
}

#[cfg(test)]
mod tests {
    use super::is_this_machine;

    #[test]
    fn only_loopback_is_this_machine() {
        for url in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:8080",
        ] {
            assert!(is_this_machine(url), "{url}");
        }
        for url in [
            "http://10.0.0.1:8080",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@example.com",
            "http://",
        ] {
            assert!(!is_this_machine(url), "{url}");
        }
    }
}
