//! The one table of routes: what exists, and what is open to everyone.

use std::sync::Arc;

use axum::{
    extract::DefaultBodyLimit,
    routing::{MethodRouter, delete, get, post},
};
use http::Method;

use super::{RestState, probes, v1};

/// Strangers get little room.
const LOGIN_BODY_BYTES: usize = 16 << 10;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone.
    Public,
    /// Who has an access token.
    LoggedIn,
}

/// A path and what it can do.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// In axum's form, with `{name}` for variable parts.
    pub path: &'static str,
    /// The methods it has, beside HEAD and OPTIONS.
    pub methods: &'static [Method],
    /// Who may use it.
    pub access: Access,
    handlers: fn() -> MethodRouter<Arc<RestState>>,
}

macro_rules! table {
    ($($access:ident $path:literal [$($method:ident)+] $handlers:expr;)+) => {
        [$(Route {
            path: $path,
            methods: &[$(Method::$method),+],
            access: Access::$access,
            handlers: || $handlers,
        }),+]
    };
}

/// Every route of the API.
pub static ROUTES: [Route; 23] = table! {
    Public "/livez" [GET] get(probes::livez);
    Public "/readyz" [GET] get(probes::readyz);
    Public "/version" [GET] get(probes::version);
    Public "/metrics" [GET] get(probes::metrics);
    Public "/.well-known/jwks.json" [GET] get(probes::jwks);
    Public "/api/v1/auth/login" [POST] post(v1::login::login).layer(DefaultBodyLimit::max(LOGIN_BODY_BYTES));
    Public "/api/v1/schemas/{kind}" [GET] get(v1::schemas::get);
    LoggedIn "/api/v1/workspaces/{workspace}/apply" [POST] post(v1::apply::apply);
    LoggedIn "/api/v1/workspaces/{workspace}/plan" [POST] post(v1::plan::plan);
    LoggedIn "/api/v1/workspaces/{workspace}/revisions" [GET] get(v1::revisions::list);
    LoggedIn "/api/v1/workspaces/{workspace}/revisions/{revision}" [GET] get(v1::revisions::get);
    LoggedIn "/api/v1/workspaces/{workspace}/revisions/{revision}/undo" [POST] post(v1::revisions::undo);
    LoggedIn "/api/v1/workspaces/{workspace}/rollouts/{revision}" [GET] get(v1::rollouts::get);
    LoggedIn "/api/v1/workspaces/{workspace}/agents" [GET] get(v1::agents::list);
    LoggedIn "/api/v1/workspaces/{workspace}/agents/bootstrap-tokens" [POST] post(v1::bootstrap_tokens::create);
    LoggedIn "/api/v1/workspaces/{workspace}/agents/{agent}" [GET DELETE] get(v1::agents::get).merge(delete(v1::agents::remove));
    LoggedIn "/api/v1/workspaces/{workspace}/agents/{agent}/commands" [POST] post(v1::commands::create);
    LoggedIn "/api/v1/workspaces/{workspace}/agents/{agent}/commands/{command}" [GET] get(v1::commands::get);
    LoggedIn "/api/v1/workspaces/{workspace}/agents/{agent}/logs" [GET] get(v1::logs::get);
    LoggedIn "/api/v1/workspaces/{workspace}/agents/{agent}/quarantine" [DELETE] delete(v1::agents::unquarantine);
    LoggedIn "/api/v1/audit" [GET] get(v1::audit::list);
    LoggedIn "/api/v1/workspaces/{workspace}/{kind}" [GET] get(v1::resources::list);
    LoggedIn "/api/v1/workspaces/{workspace}/{kind}/{name}" [GET PUT DELETE]
        get(v1::resources::get).put(v1::resources::put).delete(v1::resources::delete);
};

impl Route {
    pub(super) fn handlers(&self) -> MethodRouter<Arc<RestState>> {
        (self.handlers)()
    }
}

fn find(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.path == path)
}

/// Who may use the route registered as `path`; what is not in the table is not public.
pub(super) fn access(path: &str) -> Access {
    find(path).map_or(Access::LoggedIn, |route| route.access)
}

/// The path as a label for metrics: one of a fixed set.
pub(super) fn known(path: &str) -> &'static str {
    find(path).map_or("none", |route| route.path)
}

/// Whether machines ask this all the time, so that it is not worth a log line.
pub(super) fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/metrics")
}
