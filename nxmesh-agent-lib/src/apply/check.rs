//! Fourth step: `nginx -t` on the staged release, the live one untouched.

use std::{fs, io, os::unix::fs::symlink, path::Path};

use nxmesh_core::contract::reloader::{Candidate, ReloadError};
use nxmesh_render::placement::FullOptions;

use super::{ApplyOptions, Failure, Mode, blame, code, disk, release::Place};

/// Writes what `nginx -c` and `-p` are given to test the release at `place`.
pub(super) fn prepare(options: &ApplyOptions, place: &Place) -> Result<Candidate, Failure> {
    let check_prefix = options.layout.check();
    let failed = |error: io::Error| {
        let message = format!("could not prepare {}: {error}", check_prefix.display());
        Failure::new(code::STAGE, message).retryable()
    };
    // Not one for both: what is written must not go through a link of the other.
    let folder = check_prefix.join(match options.mode {
        Mode::Full(_) => "full",
        Mode::Include { .. } => "conf",
    });
    disk::make_folder(&folder, 0o700)
        // Where nginx puts its logs unless it is told otherwise.
        .and_then(|()| disk::make_folder(&check_prefix.join("logs"), 0o700))
        .and_then(|()| link_modules(options.nginx_prefix.as_deref(), &check_prefix))
        .map_err(failed)?;
    let pid_file = check_prefix.join("nginx.pid");
    let (name, text) = match &options.mode {
        Mode::Full(full) => {
            let aside = FullOptions {
                pid_file,
                error_log: check_prefix.join("error.log"),
                ..full.clone()
            };
            ("nginx.conf".into(), place.main_conf(&aside)?)
        }
        Mode::Include { nginx_conf } => {
            let text = shadow(options, nginx_conf, place, &pid_file)?;
            let home = nginx_conf.parent().unwrap_or(Path::new("/"));
            disk::remove_folder(&folder)
                .and_then(|()| disk::make_folder(&folder, 0o700))
                .and_then(|()| link_siblings(home, &folder, nginx_conf))
                .map_err(failed)?;
            let name = nginx_conf.file_name().unwrap_or_default().to_owned();
            (name, text.into_bytes())
        }
    };
    let check_conf = folder.join(name);
    disk::write(&check_conf, &text, 0o600).map_err(failed)?;
    Ok(Candidate {
        check_conf,
        check_prefix,
    })
}

/// The user's `nginx.conf` with our include leading to the staged release.
fn shadow(
    options: &ApplyOptions,
    nginx_conf: &Path,
    place: &Place,
    pid_file: &Path,
) -> Result<String, Failure> {
    let text = fs::read_to_string(nginx_conf).map_err(|error| {
        let message = format!("could not read {}: {error}", nginx_conf.display());
        Failure::new(code::NGINX, message).retryable()
    })?;
    let entry = options.entry();
    let home = nginx_conf.parent().unwrap_or(Path::new("/"));
    super::nginx_conf::lead_elsewhere(&text, home, &entry, place.entry().trim_end(), pid_file)
        .ok_or_else(|| not_included(options, nginx_conf))
}

fn not_included(options: &ApplyOptions, nginx_conf: &Path) -> Failure {
    let message = format!(
        "{} does not include what NxMesh writes; `nxmesh-agent adopt` adds this line to its http block: include {};",
        nginx_conf.display(),
        options.entry().display()
    );
    Failure::new(code::NOT_INCLUDED, message).retryable()
}

/// # Errors
///
/// [`code::NOT_INCLUDED`] if no start and no reload can bring nginx to a release,
/// as the user's `nginx.conf` does not lead there. One that cannot be read is
/// nginx's to complain of.
pub(super) fn is_included(options: &ApplyOptions) -> Result<(), Failure> {
    let Mode::Include { nginx_conf } = &options.mode else {
        return Ok(());
    };
    let Ok(text) = fs::read_to_string(nginx_conf) else {
        return Ok(());
    };
    let home = nginx_conf.parent().unwrap_or(Path::new("/"));
    let found = super::nginx_conf::lead_elsewhere(&text, home, &options.entry(), "", home);
    found
        .map(drop)
        .ok_or_else(|| not_included(options, nginx_conf))
}

/// `load_module modules/…` counts from the folder of `nginx -p`, which for a check is
/// not the usual one.
pub(super) fn link_modules(nginx_prefix: Option<&Path>, check_prefix: &Path) -> io::Result<()> {
    let Some(prefix) = nginx_prefix else {
        return Ok(());
    };
    let (modules, link) = (prefix.join("modules"), check_prefix.join("modules"));
    if fs::read_link(&link).is_ok_and(|target| target == modules) {
        return Ok(());
    }
    disk::remove_file(&link)?;
    symlink(modules, link)
}

/// Relative includes count from the folder of `nginx -c`.
pub(super) fn link_siblings(home: &Path, folder: &Path, nginx_conf: &Path) -> io::Result<()> {
    for sibling in fs::read_dir(home)? {
        let sibling = sibling?;
        if sibling.path() != nginx_conf {
            symlink(sibling.path(), folder.join(sibling.file_name()))?;
        }
    }
    Ok(())
}

/// What a failed check means.
pub(super) fn failure(error: ReloadError) -> Failure {
    match error {
        ReloadError::Rejected { diagnostic } => Failure::new(code::CHECK, diagnostic),
        other => Failure::new(code::NGINX, blame::chain(&other)).retryable(),
    }
}
