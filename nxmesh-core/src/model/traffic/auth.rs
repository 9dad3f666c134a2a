//! Who has to show who they are.

use serde::{Deserialize, Serialize};

use crate::model::{
    RequestHeader, UpstreamScheme, UpstreamTls,
    value::{
        ApiKey, ClientName, HeaderVariable, Method, PasswordHash, Realm, RedirectTarget,
        RequestTarget, ResourceName, StatusCode, Time, VariableName,
    },
};

/// Whether all of the conditions on clients have to hold, or one: `access`,
/// `basic_auth` and `external_auth` (nginx: `satisfy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Satisfy {
    /// Every one.
    #[default]
    All,
    /// One of them.
    Any,
}

/// Another service decides about each request: 2xx lets it in, 401 and 403 do
/// not (nginx: `auth_request`, module `http_auth_request_module`). It gets the
/// request's headers without its body, and `X-Original-Method`,
/// `X-Original-URI`, `X-Original-Host` and `X-Real-IP`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExternalAuth {
    /// `none`: nobody is asked, whatever is said further out.
    None,
    /// `service: …`: this service is asked.
    Service(AuthService),
}

/// A service that decides about requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AuthService {
    /// The Upstream that is asked.
    pub upstream: ResourceName,
    /// How it is spoken to. Default: `http`.
    #[serde(default, skip_serializing_if = "UpstreamScheme::is_http")]
    pub scheme: UpstreamScheme,
    /// How TLS is spoken with scheme `https`. Default: nothing is verified and the
    /// requested host is asked for, as by a location's `proxy`; then
    /// whoever answers in the place of the service decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<UpstreamTls>>,
    /// The path there.
    pub path: RequestTarget,
    /// The method it is asked with. Default: GET (nginx: `proxy_method`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Headers of its answer that are added to the request to the upstream, and
    /// taken off what the client sent under these names; at most 20. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy_headers: Vec<HeaderVariable>,
    /// Headers of the request to it beside those it gets anyway, in place of what the
    /// client sent under these names; at most 20. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<RequestHeader>,
    /// Remember for whom it decided what. Default: it is asked each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<AuthCache>,
    /// Where clients without credentials (401) are sent: a URL, or a path of the host, that
    /// ends in a parameter which gets the URL they asked for. Default: they get the 401. For
    /// example `https://login.example.com/?back=`.
    ///
    /// Nothing of that URL ends the parameter: `&` is encoded, and `#`, which no browser
    /// sends, is left out with what follows it. nginx cannot encode as many as there may be:
    /// with more than 16 `&` it is the path alone, and where there are more than eight `%`,
    /// or `+`, these stay as they were sent. Whoever is asked there has to see for
    /// themselves that they lead back to a host of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<RedirectTarget>,
}

/// How long a decision counts. It counts for requests of the same address with the same
/// method, URL, host, `X-Forwarded-For`, `Authorization` and `Cookie`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AuthCache {
    /// How long a request that was let in once is let in; at least 1s.
    pub time: Time,
    /// Other headers that the service decides by, which have to be the same too; at
    /// most 10. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<HeaderVariable>,
}

/// Who knows a password (RFC 7617; nginx: `auth_basic`). Passwords are sent as they
/// are, so this is for TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BasicAuth {
    /// `none`: nobody is asked, whatever is said further out.
    None,
    /// `users: …`: one of these has to know theirs.
    Users(BasicUsers),
}

/// People with passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BasicUsers {
    /// What they are told when they are asked. Default: `Restricted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<Realm>,
    /// 1 to 1000 people.
    pub list: Vec<BasicUser>,
}

/// Somebody with a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BasicUser {
    /// Who.
    pub name: ClientName,
    /// What verifies the password. Not shown again.
    pub password_hash: PasswordHash,
}

/// Which programs show a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApiKeys {
    /// `none`: no key is asked for, whatever is said further out.
    None,
    /// `required: …`: one of these has to be shown.
    Required(KeyHolders),
}

/// Programs with keys. `satisfy` does not count for them: a key is always needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyHolders {
    /// Where the key stands.
    pub from: KeyPlace,
    /// 1 to 1000 programs.
    pub list: Vec<KeyHolder>,
    /// What the others get, 400 to 599. Default: 401.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusCode>,
    /// A header in which upstreams are told the name of who showed the key, in
    /// place of what the client sent there. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_header: Option<HeaderVariable>,
}

/// Where a key stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// In a header, which upstreams do not get: `{ header: X-Api-Key }`.
    Header(HeaderVariable),
    /// In a parameter of the query, which ends up in logs: `{ query: key }`.
    Query(VariableName),
}

/// A program with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyHolder {
    /// Who.
    pub name: ClientName,
    /// The key. Not shown again.
    pub secret: ApiKey,
}
