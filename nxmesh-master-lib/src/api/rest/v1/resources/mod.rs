//! `/api/v1/workspaces/{workspace}/{kind}`: resources of every kind.

mod delete;
mod get;
mod list;
mod precondition;
mod put;

use nxmesh_core::model::{ResourceKey, value::WorkspaceName};

use super::super::{Problem, extract::PathValues};

pub(in super::super) use delete::delete;
pub(in super::super) use get::get;
pub(in super::super) use list::list;
pub(in super::super) use put::put;

fn key(path: &PathValues) -> Result<(WorkspaceName, ResourceKey), Problem> {
    let key = ResourceKey {
        kind: path.kind()?,
        name: path.get("name")?,
    };
    Ok((path.get("workspace")?, key))
}
