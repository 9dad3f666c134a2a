//! The resource at fault where nginx's words do not say which: it is searched by
//! checking what is left of the version with some of its changes held back.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use nxmesh_core::{
    bundle::Slice,
    model::{Resource, ResourceKey, ResourceKind, ResourceSet, Version},
};

use super::{
    Failure, Pipeline, blame, code,
    isolate::{self, Isolation},
    render::changed,
    steps::Stopwatch,
};

/// How long searching may take for one version, and with how many checks.
const LONGEST: Duration = Duration::from_secs(20);
const MOST_CHECKS: usize = 64;

/// What searching took so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    took: Duration,
    checks: usize,
}

impl Pipeline {
    /// Makes `failure` name the resource at fault, where nginx names none, one
    /// that is as it was before, or a file that a changed Template rendered.
    /// It stays as it is if no single change is found to be at fault.
    pub(super) async fn find_culprit(
        &mut self,
        isolation: &mut Isolation,
        version: Version,
        wanted: &Arc<Slice>,
        failure: &mut Failure,
    ) {
        if !matches!(failure.code, code::CHECK | code::RENDER) || failure.retryable {
            return;
        }
        let good = self.applied_slice.clone().unwrap_or_default();
        let suspects = changed(good.resources(), wanted.resources());
        let suspects = suspects.into_iter();
        let suspects: Vec<_> = suspects.filter(|it| !isolation.held.contains(it)).collect();
        // One that is as it was is not at fault, but something it refers to.
        let suspected = |key: &ResourceKey| suspects.contains(key);
        let suspects = if !failure.resource.as_ref().is_some_and(suspected) {
            ordered(suspects, wanted.resources(), good.resources(), failure)
        } else {
            let templates = suspects.into_iter();
            templates
                .filter(|it| it.kind == ResourceKind::Template)
                .collect()
        };
        let mut search = Search {
            version,
            wanted,
            good: &good,
            told: told(&failure.message),
        };
        if let Some(culprit) = search.culprit(self, isolation, &suspects).await {
            tracing::info!(%culprit, "found to be at fault");
            failure.resource = Some(culprit);
        }
    }
}

struct Search<'a> {
    version: Version,
    wanted: &'a Arc<Slice>,
    good: &'a Slice,
    told: String,
}

impl Search<'_> {
    /// The last of the shortest run of `suspects` without which nginx does not
    /// say the same any more.
    async fn culprit(
        &mut self,
        pipeline: &mut Pipeline,
        isolation: &mut Isolation,
        suspects: &[ResourceKey],
    ) -> Option<ResourceKey> {
        // Without the first `low` it is said, without the first `high` not. The
        // likeliest come first, so the runs tried grow from one.
        let (mut low, mut high) = (0, 1);
        loop {
            let run = high.min(suspects.len());
            if run == low {
                return None;
            }
            if self.is_cured(pipeline, isolation, &suspects[..run]).await? {
                high = run;
                break;
            }
            (low, high) = (run, run * 4);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let run = &suspects[..middle];
            match self.is_cured(pipeline, isolation, run).await? {
                true => high = middle,
                false => low = middle,
            }
        }
        Some(suspects[high - 1].clone())
    }

    /// Whether nginx says something else, or nothing, without `suspects`; `None`
    /// if it cannot be asked any more.
    async fn is_cured(
        &self,
        pipeline: &mut Pipeline,
        isolation: &mut Isolation,
        suspects: &[ResourceKey],
    ) -> Option<bool> {
        let budget = &mut isolation.budget;
        if budget.checks >= MOST_CHECKS || budget.took >= LONGEST {
            return None;
        }
        let held: BTreeSet<_> = isolation.held.iter().chain(suspects).cloned().collect();
        let (wanted, good) = (self.wanted.resources(), self.good.resources());
        let snippets = &pipeline.options.render.snippets;
        let Some(rest) = isolate::hold_back(wanted, good, &held, snippets) else {
            // It does not fit together, so nothing is known of it.
            return Some(false);
        };
        let started = Instant::now();
        let checked = pipeline
            .try_out(self.version, Arc::new(Slice::new(rest.resources)))
            .await;
        budget.checks += 1;
        budget.took += started.elapsed();
        match checked {
            Ok(()) => Some(true),
            Err(failure) if failure.retryable => None,
            Err(failure) => Some(told(&failure.message) != self.told),
        }
    }
}

impl Pipeline {
    /// Renders `slice` and has nginx check it, and leaves nothing of it behind.
    async fn try_out(&mut self, version: Version, slice: Arc<Slice>) -> Result<(), Failure> {
        let mut watch = Stopwatch::start();
        let staged = self
            .stage_version(version, &slice, None, &mut Vec::new(), &mut watch)
            .await?;
        let Some(candidate) = staged.candidate else {
            return Ok(());
        };
        let checked = self.check(candidate).await;
        self.discard(&staged.place.name).await;
        checked
    }
}

/// What nginx complains of first, without the place.
fn told(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let place = blame::place_in(line).and_then(|_| line.rfind(" in /"));
    line[..place.unwrap_or(line.len())].to_owned()
}

/// `suspects`, those first that alone have the words that nginx quotes, and
/// what others refer to after what refers to it.
fn ordered(
    suspects: Vec<ResourceKey>,
    wanted: &ResourceSet,
    good: &ResourceSet,
    failure: &Failure,
) -> Vec<ResourceKey> {
    let quoted: BTreeSet<&str> = failure
        .message
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|it| !it.is_empty())
        .collect();
    let texts = suspects
        .iter()
        .map(|key| match wanted.get(key).map(|it| &**it) {
            None | Some(Resource::Certificate(_)) => String::new(),
            Some(resource) => serde_json::to_string(resource).unwrap_or_default(),
        });
    let texts: Vec<String> = texts.collect();
    let mut scores = vec![0; suspects.len()];
    for word in quoted {
        let having: Vec<usize> = (0..texts.len())
            .filter(|&at| texts[at].contains(word))
            .collect();
        for &at in &having {
            scores[at] += 1000 / having.len();
        }
    }
    let mut ranked: Vec<_> = scores.into_iter().zip(suspects).collect();
    ranked.sort_by_key(|(score, key)| {
        let gone = wanted.get(key).is_none();
        let new = good.get(key).is_none();
        (Reverse(*score), gone, rank(key.kind), !new, key.clone())
    });
    ranked.into_iter().map(|(_, key)| key).collect()
}

/// What refers to others before what is referred to.
const fn rank(kind: ResourceKind) -> u8 {
    match kind {
        ResourceKind::VirtualHost | ResourceKind::StreamServer => 0,
        ResourceKind::RouteSet => 1,
        ResourceKind::Template => 3,
        _ => 2,
    }
}
