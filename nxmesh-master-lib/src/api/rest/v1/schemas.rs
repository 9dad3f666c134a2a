//! `GET /api/v1/schemas/{kind}`: JSON Schema of the documents of a kind.

use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use nxmesh_core::schema;

use crate::api::rest::{Problem, extract::PathValues};

/// For editors and generators; nothing in it is anybody's.
pub(crate) async fn get(path: PathValues) -> Result<impl IntoResponse, Problem> {
    let schema = schema::of(path.kind()?);
    Ok((
        [(CONTENT_TYPE, "application/schema+json")],
        schema.to_string(),
    ))
}
