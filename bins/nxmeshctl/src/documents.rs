//! The documents of the files named on the command line.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use nxmesh_core::{
    document::{self, MAX_PROBLEMS, MAX_TEXT_BYTES, Parsed, Problem},
    model::value::WorkspaceName,
};
use nxmesh_process::exit::{Exit, OrExit as _};

/// Reads and parses every document. All that is wrong is printed, not only the first.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Parsed>> {
    let mut parsed: Vec<Parsed> = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        for (source, text) in texts(path)? {
            match document::parse(&source, &text) {
                Ok(documents) => parsed.extend(documents),
                Err(found) => problems.extend(found),
            }
        }
    }
    let mut seen = BTreeMap::new();
    for document in &parsed {
        let workspace = &document.resource.metadata().workspace;
        match seen.entry((workspace, document.resource.key())) {
            Entry::Vacant(place) => {
                place.insert(&document.origin);
            }
            Entry::Occupied(first) => {
                let rule = format!("a resource is written once; {} has it too", first.get());
                problems.push(Problem::new(&document.origin, "/metadata/name", &rule));
            }
        }
    }
    if problems.is_empty() && parsed.is_empty() {
        return Err(anyhow!("there is no document in what was given")).or_exit(Exit::Invalid);
    }
    if problems.is_empty() {
        Ok(parsed)
    } else {
        Err(refuse(&problems))
    }
}

/// The one workspace all documents are for: a change set is one revision of one workspace.
pub(crate) fn workspace(documents: &[Parsed]) -> anyhow::Result<WorkspaceName> {
    let mut workspaces = documents
        .iter()
        .map(|document| &document.resource.metadata().workspace);
    let first = workspaces.next().cloned().unwrap_or_default();
    match workspaces.find(|other| **other != first) {
        None => Ok(first),
        Some(other) => Err(anyhow!(
            "the documents are for workspaces {first} and {other}; give those of one workspace at a time"
        ))
        .or_exit(Exit::Usage),
    }
}

/// Prints what is wrong, a line each, and says so. A reader of hundreds mends the first.
pub(crate) fn refuse(problems: &[Problem]) -> anyhow::Error {
    let told = &problems[..problems.len().min(MAX_PROBLEMS + 1)];
    let mut lines: Vec<String> = told
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect();
    if let more @ 1.. = problems.len() - told.len() {
        lines.push(format!("\n  and at least {more} more"));
    }
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        count @ ..=MAX_PROBLEMS => format!("{count} problems"),
        _ => format!("more than {MAX_PROBLEMS} problems"),
    };
    match Err::<(), _>(anyhow!("{count} found{}", lines.concat())).or_exit(Exit::Invalid) {
        Err(error) => error,
        Ok(()) => unreachable!("an error stays an error"),
    }
}

fn texts(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    if path == Path::new("-") {
        return Ok(vec![(
            "standard input".to_owned(),
            bounded(std::io::stdin(), "standard input")?,
        )]);
    }
    let mut files = Vec::new();
    collect(path, &mut files, 0).or_exit(Exit::Invalid)?;
    files
        .into_iter()
        .map(|file| {
            let name = file.display().to_string();
            let open = fs::File::open(&file)
                .with_context(|| format!("could not open {name}"))
                .or_exit(Exit::Invalid)?;
            Ok((name.clone(), bounded(open, &name)?))
        })
        .collect()
}

/// The file itself, or the YAML and JSON files below a folder, in order of name.
fn collect(path: &Path, files: &mut Vec<PathBuf>, depth: usize) -> anyhow::Result<()> {
    const MAX_DEPTH: usize = 16;
    let kind = fs::metadata(path).with_context(|| format!("could not read {}", path.display()))?;
    if !kind.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth == MAX_DEPTH {
        return Err(anyhow!(
            "{} is nested more than {MAX_DEPTH} folders deep",
            path.display()
        ));
    }
    let mut entries = fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .with_context(|| format!("could not list {}", path.display()))?;
    entries.sort();
    for entry in entries {
        let document = entry.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"]
                .iter()
                .any(|known| extension == *known)
        });
        if entry.is_dir() || document {
            collect(&entry, files, depth + 1)?;
        }
    }
    Ok(())
}

fn bounded(reader: impl std::io::Read, name: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_TEXT_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("could not read {name}"))
        .or_exit(Exit::Invalid)?;
    String::from_utf8(bytes)
        .map_err(|error| {
            let place = error.utf8_error().valid_up_to() + 1;
            anyhow!("{name} is not UTF-8 text: byte {place} is none")
        })
        .or_exit(Exit::Invalid)
}

/// Documents as one text.
pub(crate) fn text(documents: &[Parsed]) -> String {
    let mut text = String::new();
    for document in documents {
        text.push_str("---\n");
        let json = document.resource.to_canonical_json();
        text.push_str(&String::from_utf8_lossy(&json));
        text.push('\n');
    }
    text
}
