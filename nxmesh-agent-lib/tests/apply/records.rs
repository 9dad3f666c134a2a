//! Records of the agent that are not as they were written: it says what is true,
//! nginx serves on, and the next version heals all of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nxmesh_agent_lib::testkit::stop_nginx_in;

use crate::{
    failures::serving_one,
    site::{Site, applied, apply, rejected, version},
};

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Emptied,
    Torn,
    /// One digit is another: what reads it finds nothing wrong with it.
    Digit,
    Flipped,
    Garbage,
    Gone,
}

impl Damage {
    const ALL: [Self; 6] = [
        Self::Emptied,
        Self::Torn,
        Self::Digit,
        Self::Flipped,
        Self::Garbage,
        Self::Gone,
    ];

    fn befall(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        match self {
            Self::Emptied => bytes.clear(),
            Self::Torn => bytes.truncate(middle),
            Self::Digit => {
                let digit = bytes.iter_mut().find(|it| it.is_ascii_digit());
                if let Some(digit) = digit {
                    *digit = if *digit == b'9' { b'8' } else { *digit + 1 };
                }
            }
            Self::Flipped => bytes[middle] ^= 0x40,
            Self::Garbage => bytes = (0..=255).collect(),
            Self::Gone => return fs::remove_file(path).unwrap(),
        }
        fs::write(path, bytes).unwrap();
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Damages what `chosen` names, and starts the next agent.
async fn survives(damage: Damage, chosen: impl Fn(&Site) -> Vec<PathBuf>, nginx_runs: bool) {
    let site = Site::new();
    drop(serving_one(&site).await);
    let files = chosen(&site);
    assert!(!files.is_empty());
    for file in &files {
        damage.befall(file);
    }
    if !nginx_runs {
        stop_nginx_in(site.folder.path());
    }
    let case = format!("{damage:?} of {files:?}, nginx runs: {nginx_runs}");
    let mut pipeline = site.up().await;
    let told = pipeline.applied().map(|applied| applied.version);
    assert!(
        told.is_none() || told == Some(version(1)),
        "{case}: {told:?}"
    );
    assert!(pipeline.accepted() <= Some(version(1)), "{case}");
    assert_eq!(site.get("shop").await, "200 one", "{case}");
    applied(&mut pipeline, 2, &site.host("shop", "two")).await;
    assert_eq!(site.get("shop").await, "200 two", "{case}");
    rejected(&mut pipeline, 1, &site.host("shop", "one")).await;
    drop(pipeline);
    let pipeline = site.up().await;
    assert_eq!(pipeline.applied().unwrap().version, version(2), "{case}");
}

#[tokio::test]
async fn a_record_of_what_is_applied_is_found_out_anew() {
    for damage in Damage::ALL {
        // One that is gone is that of an agent before its first apply.
        if !matches!(damage, Damage::Gone) {
            survives(damage, |site| vec![site.layout().applied()], true).await;
        }
    }
    survives(Damage::Torn, |site| vec![site.layout().applied()], false).await;
}

#[tokio::test]
async fn a_record_of_what_is_accepted_never_leads_below_what_serves() {
    for damage in Damage::ALL {
        survives(damage, |site| vec![site.layout().accepted()], true).await;
    }
}

#[tokio::test]
async fn both_records_may_be_lost() {
    let both = |site: &Site| vec![site.layout().accepted(), site.layout().applied()];
    for nginx_runs in [true, false] {
        survives(Damage::Emptied, both, nginx_runs).await;
    }
}

#[tokio::test]
async fn an_entry_or_a_release_is_made_anew() {
    for damage in Damage::ALL {
        survives(damage, |site| vec![site.options.entry()], false).await;
        survives(damage, |site| files_below(&site.layout().releases()), false).await;
    }
}

#[tokio::test]
async fn an_older_version_stays_refused_when_the_newest_record_is_lost() {
    let site = Site::new();
    let mut pipeline = serving_one(&site).await;
    applied(&mut pipeline, 5, &site.host("shop", "five")).await;
    drop(pipeline);
    Damage::Torn.befall(&site.layout().accepted());
    let mut pipeline = site.up().await;
    assert_eq!(pipeline.accepted(), Some(version(5)));
    rejected(&mut pipeline, 4, &site.host("shop", "four")).await;
    let same = apply(&mut pipeline, 5, &site.host("shop", "five")).await;
    assert!(
        matches!(&same, nxmesh_agent_lib::apply::Outcome::Applied(it) if !it.reloaded),
        "{same:?}"
    );
}
