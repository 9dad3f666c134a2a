//! A small client of the REST interface.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use nxmesh_core::api::LoginResponse;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::TestError;

/// Speaks plain HTTP to one master, with or without a token.
#[derive(Debug, Clone)]
pub struct ApiClient {
    http: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    token: Option<String>,
}

/// What the master answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as JSON of a known form.
    ///
    /// # Errors
    ///
    /// If it is something else; the error shows status and body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, TestError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| format!("{error} in {}: {}", self.status, self.text()).into())
    }

    /// The body as any JSON.
    ///
    /// # Errors
    ///
    /// If it is no JSON.
    pub fn value(&self) -> Result<Value, TestError> {
        self.json()
    }
}

impl ApiClient {
    /// A client of the API at `address`, not logged in.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            http: Client::builder(TokioExecutor::new()).build_http(),
            address,
            token: None,
        }
    }

    /// The same client with another token, whatever it is worth.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The token in use.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Logs in.
    ///
    /// # Errors
    ///
    /// If the master refuses.
    pub async fn log_in(self, name: &str, password: &str) -> Result<Self, TestError> {
        let body = json!({ "username": name, "password": password }).to_string();
        let answer = self
            .send(
                Method::POST,
                "/api/v1/auth/login",
                &[("content-type", "application/json")],
                body,
            )
            .await?;
        let response: LoginResponse = answer.json()?;
        Ok(self.with_token(response.access_token))
    }

    /// Sends a request to `path`, which may carry a query.
    ///
    /// # Errors
    ///
    /// If there is no answer. An error status is an answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, TestError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body.into()))?;
        let (parts, body) = self.http.request(request).await?.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// `GET`
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn get(&self, path: &str) -> Result<Answer, TestError> {
        self.send(Method::GET, path, &[], "").await
    }

    /// Applies documents in YAML to the workspace `default`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn apply(&self, documents: impl Into<Bytes>) -> Result<Answer, TestError> {
        let path = "/api/v1/workspaces/default/apply";
        let yaml = [("content-type", "application/yaml")];
        self.send(Method::POST, path, &yaml, documents).await
    }
}
