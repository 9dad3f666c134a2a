//! Media types of files.

use std::collections::BTreeMap;

use nxmesh_core::model::value::FileExtension;
use serde_json::{Value, json};

use super::{node::Node, scope::Scope};
use crate::placement::MEDIA_TYPES;

/// What nginx knows where nothing is said (`ngx_http_core_module.c`).
const DEFAULT: [(&str, &str); 3] = [
    ("html", "text/html"),
    ("gif", "image/gif"),
    ("jpg", "image/jpeg"),
];

/// The media types by extension that count in a block.
pub(super) fn of(scope: &Scope<'_>) -> BTreeMap<String, String> {
    let said = scope.all("types");
    if said.is_empty() {
        let known = DEFAULT.iter();
        return known
            .map(|(end, media)| ((*end).into(), (*media).into()))
            .collect();
    }
    let entries = said.iter().flat_map(|node| &node.entries);
    by_extension(entries.map(|entry| entry.iter().map(String::as_str)))
}

/// The type of what has this path, if its extension is known.
pub(super) fn of_path(scope: &Scope<'_>, path: &str) -> Option<String> {
    let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    of(scope).remove(&extension.to_ascii_lowercase())
}

/// The list of the block `http` as a field; `None` if it is the built-in one.
pub(super) fn field(http: &[Node]) -> Option<Value> {
    let mut types = of(&Scope::new(http));
    let entries = MEDIA_TYPES.lines();
    let entries = entries.filter_map(|line| line.trim().strip_suffix(';'));
    if types == by_extension(entries.map(str::split_whitespace)) {
        return None;
    }
    // Of no file nginx takes such an end for the extension.
    types.retain(|extension, _| FileExtension::parse(extension).is_ok());
    let mut by_type: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (extension, media) in &types {
        by_type.entry(media).or_default().push(extension);
    }
    let list = by_type
        .iter()
        .map(|(media, extensions)| json!({ "type": media, "extensions": extensions }));
    Some(list.collect())
}

/// The types of entries, each a type and its extensions. The last one counts.
fn by_extension<'t>(
    entries: impl Iterator<Item = impl Iterator<Item = &'t str>>,
) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for mut entry in entries {
        let Some(media) = entry.next() else { continue };
        types.extend(entry.map(|end| (end.to_ascii_lowercase(), media.to_owned())));
    }
    types
}
