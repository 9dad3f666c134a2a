//! `nxmeshctl import`

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use nxmesh_core::{
    model::{Resource, Selector},
    snippet::SnippetContext,
};
use nxmesh_process::exit::{Exit, OrExit as _};
use nxmesh_render::import::{Fate, Files, Imported, Scale, dump, import, path_matches};

use crate::{
    options::{ImportArguments, RenderMode},
    output,
};

pub(crate) fn run(arguments: ImportArguments) -> anyhow::Result<Exit> {
    let scale = match arguments.mode {
        RenderMode::Include => Scale::Include,
        RenderMode::Full => Scale::Full,
    };
    let mut imported = read(&arguments.path, scale)?;
    for resource in &mut imported.resources {
        choose(resource, &arguments.selector);
    }
    let mut text = String::new();
    for resource in &imported.resources {
        let document = serde_json::to_value(resource).context("could not write a resource")?;
        text.push_str("---\n");
        text.push_str(&output::yaml(&document));
        text.push('\n');
    }
    match &arguments.out {
        Some(path) => write(path, &text).or_exit(Exit::Usage)?,
        None => output::line(text.trim_end())?,
    }
    let (mut snippets, mut lost) = (0, 0);
    for note in &imported.notes {
        eprintln!("{note}");
        match note.fate {
            Fate::Snippet { .. } => snippets += 1,
            Fate::Lost { .. } => lost += 1,
            _ => {}
        }
    }
    eprintln!(
        "{} resources, {snippets} directives in snippets, {lost} not imported",
        imported.resources.len()
    );
    if lost == 0 {
        return Ok(Exit::Success);
    }
    eprintln!(
        "what is not imported is marked above; where it stands, the import may answer otherwise"
    );
    Ok(Exit::Differs)
}

fn read(path: &Path, scale: Scale) -> anyhow::Result<Imported> {
    let entry = if path.is_dir() {
        path.join("nginx.conf")
    } else {
        path.to_owned()
    };
    let text = if path == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin()
            .read_to_end(&mut text)
            .context("could not read standard input")?;
        text
    } else {
        fs::read(&entry)
            .with_context(|| format!("could not read {}", entry.display()))
            .or_exit(Exit::NotFound)?
    };
    if let Some((entry, files)) = dump(&String::from_utf8_lossy(&text)) {
        // Only what is in it: it may be of another machine.
        return import(&files, &entry, scale).or_exit(Exit::Invalid);
    }
    if path == Path::new("-") {
        let error = anyhow!("standard input is not what nginx -T prints");
        return Err(error).or_exit(Exit::Invalid);
    }
    let entry = std::path::absolute(&entry).context("could not make the path absolute")?;
    import(&Disk, &entry, scale).or_exit(Exit::Invalid)
}

/// Lets the agents of `selector` serve what goes to agents of itself.
fn choose(resource: &mut Resource, selector: &Selector) {
    match resource {
        Resource::VirtualHost(host) => host.spec.selector = selector.clone(),
        Resource::StreamServer(server) => server.spec.selector = selector.clone(),
        Resource::NginxSettings(settings) => settings.spec.selector = selector.clone(),
        Resource::Snippet(snippet) if stands_alone(snippet.spec.context) => {
            snippet.spec.selector = selector.clone();
        }
        _ => {}
    }
}

/// Whether a Snippet is not part of another document.
fn stands_alone(context: SnippetContext) -> bool {
    use SnippetContext::{Events, Http, Main, Stream};
    matches!(context, Main | Events | Http | Stream)
}

/// Private keys are in it, so nobody else may read it.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("could not make {}", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("could not write {}", path.display()))
}

/// The files of this machine.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        fs::read(path).ok()
    }

    fn matching(&self, pattern: &str) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::from("/")];
        let mut prefix = String::new();
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            prefix.push('/');
            prefix.push_str(part);
            let entries = found.iter().filter_map(|folder| fs::read_dir(folder).ok());
            let paths = entries
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path()));
            found = paths
                .filter(|path| path_matches(&prefix, &path.to_string_lossy()))
                .collect();
        }
        found.sort();
        found.retain(|path| path.is_file());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_files_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("conf.d/sub.conf")).unwrap();
        for name in [
            "conf.d/b.conf",
            "conf.d/a.conf",
            "conf.d/.hidden.conf",
            "conf.d/c.bak",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        let found = Disk.matching(&format!("{}/conf.d/*.conf", root.display()));
        assert_eq!(
            found,
            [root.join("conf.d/a.conf"), root.join("conf.d/b.conf")]
        );
        assert_eq!(Disk.matching("/no-such-folder/*"), Vec::<PathBuf>::new());
    }
}
