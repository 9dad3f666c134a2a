//! `nxmeshctl render`

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use nxmesh_core::{
    check,
    contract::renderer::{RenderSettings, Renderer as _},
};
use nxmesh_process::exit::{Exit, OrExit as _};
use nxmesh_render::{
    HandlebarsRenderer, older_forms,
    placement::{FullOptions, Placement, PlacementMode, place},
};

use crate::{
    documents,
    options::{RenderArguments, RenderMode},
    output,
};

pub(crate) fn run(arguments: RenderArguments) -> anyhow::Result<Exit> {
    let documents = documents::read(&arguments.files.files)?;
    documents::workspace(&documents)?;
    let resources = documents
        .into_iter()
        .map(|document| document.resource)
        .collect();
    let checked = check::check(resources).map_err(|problems| documents::refuse(&problems))?;
    let out = empty_folder(&arguments.out).or_exit(Exit::Usage)?;
    let settings = RenderSettings {
        nginx: arguments.nginx_version,
        tls_dir: out.join("tls"),
        whole_conf: arguments.mode == RenderMode::Full,
        modules: (!arguments.modules.is_empty())
            .then(|| Arc::new(arguments.modules.into_iter().collect())),
        ..RenderSettings::default()
    };
    let tree = HandlebarsRenderer::new()
        .render(checked.resources(), &settings)
        .map_err(|error| documents::refuse(&[error.problem()]))?;
    for form in older_forms(checked.resources(), &settings) {
        eprintln!("warning: {}: {}", form.resource, form.note);
    }
    let full = FullOptions::default();
    let placement = Placement {
        release_dir: &out,
        release_id: &tree.digest().short(),
        probe_socket: &out.join("probe.sock"),
        mode: match arguments.mode {
            RenderMode::Include => PlacementMode::Include,
            RenderMode::Full => PlacementMode::Full(&full),
        },
        settings: &settings,
    };
    let placed = place(&tree, &placement).or_exit(Exit::Invalid)?;
    for (path, file) in tree.files() {
        write(&out.join(path), &file.contents, 0o644)?;
    }
    for (path, contents) in &placed {
        write(&out.join(path), contents, 0o644)?;
    }
    for (name, pem) in tree.pem_files() {
        write(
            &settings.tls_dir.join(name),
            pem.contents.as_bytes(),
            if pem.secret && !pem.for_workers {
                0o600
            } else {
                0o644
            },
        )?;
    }
    let count = tree.files().len() + placed.len() + tree.pem_files().len();
    let what = match arguments.mode {
        RenderMode::Include => {
            format!(
                "include {} inside http {{}}",
                out.join("http.conf").display()
            )
        }
        RenderMode::Full => format!("nginx -c {}", out.join("main.conf").display()),
    };
    output::line(&format!("{count} files in {}; {what}", out.display()))?;
    Ok(Exit::Success)
}

/// Makes sure nothing of the user's is overwritten or mixed with what we write.
fn empty_folder(path: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(path)
        .with_context(|| format!("could not make the folder {}", path.display()))?;
    let path = path
        .canonicalize()
        .with_context(|| format!("could not find {}", path.display()))?;
    let mut entries =
        fs::read_dir(&path).with_context(|| format!("could not list {}", path.display()))?;
    match entries.next() {
        None => Ok(path),
        Some(_) => Err(anyhow!(
            "{} is not empty; give --out a new folder",
            path.display()
        )),
    }
}

fn write(path: &Path, contents: &[u8], mode: u32) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?
            .write_all(contents)
    };
    write().with_context(|| format!("could not write {}", path.display()))
}
