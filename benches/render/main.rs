//! Rendering: figures beside their budgets.
//!
//! One thread, unless a line says otherwise. Each figure is the median of several
//! rounds. The other engines write the same bytes from values that were prepared
//! for them beforehand, so their figures are for text alone; ours are for the
//! whole way from the model to a tree with digests.

mod engines;
mod memory;

use std::{
    collections::BTreeSet,
    hint::black_box,
    num::NonZeroUsize,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};
use nxmesh_core::{
    contract::renderer::{RenderSettings, RenderedTree, Renderer as _},
    model::{Resource, ResourceSet},
    syntax::{Event, Reader},
    testkit::sample,
};
use nxmesh_render::HandlebarsRenderer;

const HOSTS: usize = 10_000;

fn main() -> Result<()> {
    let settings = RenderSettings::default();
    let renderer = HandlebarsRenderer::new();
    let resources = sample::fleet(HOSTS);
    let tree = renderer.render(&resources, &settings)?;
    let bytes: usize = tree.files().map(|(_, file)| file.contents.len()).sum();
    println!(
        "{HOSTS} virtual hosts, {} files, {:.1} MB, {} B per virtual host with its upstream",
        tree.files().len(),
        bytes as f64 / 1e6,
        bytes / HOSTS
    );
    println!("figure | budget | ok/over");

    // First: later, what others leave behind would blur it.
    let (model, files) = memory::of(&renderer, &resources, &settings)?;
    for (what, bytes) in [("model", model), ("rendered tree", files)] {
        let figure = format!(
            "memory of the {what} of {HOSTS} virtual hosts: {:.1} MB",
            bytes as f64 / 1e6
        );
        line(&figure, "-", true);
    }

    let whole = median(15, || Ok(renderer.render(&resources, &settings)?))?;
    let rate = HOSTS as f64 / whole.as_secs_f64();
    line(
        &format!(
            "full render: {rate:.0} virtual hosts/s, {}",
            speed(bytes, whole)
        ),
        "≥ 100000/s",
        rate >= 100_000.0,
    );

    parallel(&renderer, &settings, &resources)?;

    for (what, changed) in [
        ("virtual host", changed_host as fn(usize) -> Resource),
        ("upstream", changed_upstream),
    ] {
        let one = one_changed(&renderer, &settings, &resources, changed)?;
        let figure = format!(
            "one {what} of {HOSTS} changed: {:.0} µs",
            one.as_secs_f64() * 1e6
        );
        line(&figure, "≤ 1000 µs", one <= Duration::from_millis(1));
    }

    let digest = median(15, || Ok(tree.digest()))?;
    line(
        &format!("digest of the tree: {:.2} ms", digest.as_secs_f64() * 1e3),
        "-",
        true,
    );

    let reading = median(15, || read(&tree))?;
    line(
        &format!(
            "in it, reading the files again to verify their structure: {:.2} µs per virtual host, {}",
            reading.as_secs_f64() * 1e6 / HOSTS as f64,
            speed(bytes, reading)
        ),
        "-",
        true,
    );

    for (name, taken) in engines::others(&resources, &tree)? {
        line(
            &format!(
                "for comparison, text only, {name}: {:.0} virtual hosts/s, {}; ours, all of it, is \
                 {:.2} times as fast",
                HOSTS as f64 / taken.as_secs_f64(),
                speed(bytes, taken),
                taken.as_secs_f64() / whole.as_secs_f64()
            ),
            "-",
            true,
        );
    }
    Ok(())
}

/// How rendering scales with threads. Processor time tells what threads cost even
/// where others keep the cores busy.
fn parallel(
    renderer: &HandlebarsRenderer,
    settings: &RenderSettings,
    resources: &ResourceSet,
) -> Result<()> {
    const ROUNDS: usize = 15;
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let counts = (0..8).map(|power| 1 << power);
    let mut alone = None;
    for threads in counts.take_while(|threads| *threads <= 2 * cores) {
        let count = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let before = processor_time()?;
        let taken = median(ROUNDS, || {
            Ok(renderer.render_parallel(resources, settings, count)?)
        })?;
        let used = processor_time()? - before;
        let (alone_taken, alone_used) = *alone.get_or_insert((taken, used));
        let figure = format!(
            "parallel, {threads} threads on {cores} cores: {:.0} virtual hosts/s, {:.2} times one \
             thread, for {:.2} times its processor time",
            HOSTS as f64 / taken.as_secs_f64(),
            alone_taken.as_secs_f64() / taken.as_secs_f64(),
            used.as_secs_f64() / alone_used.as_secs_f64()
        );
        line(&figure, "-", true);
    }
    Ok(())
}

/// What this process has used of processors so far.
fn processor_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds());
    Ok(Duration::from_micros(u64::try_from(micros[0] + micros[1])?))
}

/// Reads every file as nginx does; gives the number of words.
fn read(tree: &RenderedTree) -> Result<usize> {
    let mut words = 0;
    for (_, file) in tree.files() {
        let mut reader = Reader::new(&file.contents);
        loop {
            match reader.next()? {
                Event::Word { .. } => words += 1,
                Event::Done => break,
                _ => {}
            }
        }
    }
    Ok(words)
}

fn line(figure: &str, budget: &str, ok: bool) {
    println!("{figure} | {budget} | {}", if ok { "ok" } else { "over" });
}

fn speed(bytes: usize, taken: Duration) -> String {
    format!("{:.0} MB/s", bytes as f64 / 1e6 / taken.as_secs_f64())
}

/// The median of the times `work` takes; what it makes is dropped outside them.
fn median<T>(rounds: usize, mut work: impl FnMut() -> Result<T>) -> Result<Duration> {
    let mut taken = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let made = work()?;
        taken.push(start.elapsed());
        drop(black_box(made));
    }
    taken.sort();
    Ok(taken[rounds / 2])
}

fn changed_host(number: usize) -> Resource {
    let mut host = sample::virtual_host(&format!("site-{number:05}"));
    host.spec.traffic.to_mut().max_body_size = format!("{}k", number + 1).parse().ok();
    host.into()
}

fn changed_upstream(number: usize) -> Resource {
    let mut upstream = sample::upstream(&format!("site-{number:05}"));
    upstream.spec.keepalive = Some(number as u32 % 100 + 1);
    upstream.into()
}

fn one_changed(
    renderer: &HandlebarsRenderer,
    settings: &RenderSettings,
    resources: &ResourceSet,
    changed: fn(usize) -> Resource,
) -> Result<Duration> {
    let mut resources = resources.clone();
    let mut tree = renderer.render(&resources, settings)?;
    let mut taken = Vec::new();
    for round in 0..501 {
        let resource = changed(round * 37 % HOSTS);
        let keys = BTreeSet::from([resource.key()]);
        resources.insert(resource);
        let start = Instant::now();
        tree = renderer.rerender(tree, &resources, &keys, settings)?;
        taken.push(start.elapsed());
    }
    ensure!(
        tree == renderer.render(&resources, settings)?,
        "rendered again, the tree differs"
    );
    taken.sort();
    Ok(taken[taken.len() / 2])
}
