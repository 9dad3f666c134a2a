//! `POST /api/v1/workspaces/{workspace}/plan`: what an apply would do to the
//! files of nginx.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use nxmesh_core::{
    api::PlanResponse,
    contract::renderer::{NginxVersion, RenderSettings},
    model::{AgentId, value::WorkspaceName},
};
use serde::Deserialize;

use super::{
    super::{
        Problem, RestState,
        extract::{DocumentText, Parameters, PathValues},
    },
    documents,
};
use crate::{auth::Identity, engine::WriteRequest};

/// Whose files are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PlanQuery {
    /// Those of this agent, in the form for its nginx. Default: those of all resources.
    agent: Option<String>,
    /// In the form for this nginx. Default: the agent's, or the oldest supported.
    nginx_version: Option<String>,
}

/// Renders the workspace before and after every document of the body is made so.
pub(in super::super) async fn plan(
    State(state): State<Arc<RestState>>,
    identity: Identity,
    path: PathValues,
    Parameters(query): Parameters<PlanQuery>,
    DocumentText(text): DocumentText,
) -> Result<Json<PlanResponse>, Problem> {
    let workspace: WorkspaceName = path.get("workspace")?;
    let asked: Option<NginxVersion> = query
        .nginx_version
        .map(|text| text.parse::<NginxVersion>())
        .transpose()
        .map_err(|error| Problem::bad_value("query", "nginx_version", error))?;
    let agent = match query.agent {
        Some(id) => {
            let id: AgentId = id
                .parse()
                .map_err(|error| Problem::bad_value("query", "agent", error))?;
            let agent = state.fleet.agent(&workspace, &id).await;
            let what = || Problem::not_found(format!("agent {id} in workspace {workspace}"));
            Some(agent.ok_or_else(what)?)
        }
        None => None,
    };
    let nginx = match (asked, &agent) {
        (Some(version), _) => version,
        (None, Some(agent)) => agent.nginx_version.parse().map_err(|_| {
            let detail = format!(
                "agent {} has not told the version of its nginx; give nginx_version, for example 1.22.1",
                agent.id
            );
            Problem::new(StatusCode::CONFLICT, detail)
        })?,
        (None, None) => NginxVersion::default(),
    };
    let request = WriteRequest {
        changes: documents::read_set(&state.reading, text, &workspace).await?,
        workspace,
        author: identity.user.to_string(),
        message: String::new(),
        dry_run: true,
    };
    let mut settings = RenderSettings {
        nginx,
        ..RenderSettings::default()
    };
    // With another version asked for, it is another nginx.
    if let Some(told) = agent.as_ref().and_then(|agent| agent.nginx.as_ref()) {
        settings.whole_conf = told.whole_conf;
        if asked.is_none() && !told.modules.is_empty() {
            settings.modules = Some(Arc::new(told.modules.iter().cloned().collect()));
        }
    }
    let labels = agent.map(|agent| agent.labels);
    let mut preview = state.engine.preview(&request).await?;
    let turn = Arc::clone(&state.reading)
        .acquire_owned()
        .await
        .map_err(|error| Problem::internal(&error))?;
    let work = move || {
        preview.warn_of_older_forms(labels.as_ref(), &settings);
        let files = preview.files(labels.as_ref(), &settings);
        drop(turn);
        files.map(|files| (preview, files))
    };
    let (preview, (files, unchanged)) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::internal(&error))??;
    Ok(Json(PlanResponse {
        nginx_version: nginx.to_string(),
        changes: preview.changes,
        agents: preview.agents,
        warnings: preview.warnings,
        files,
        unchanged,
    }))
}
