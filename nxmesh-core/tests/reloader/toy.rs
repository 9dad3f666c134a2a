//! An imitation of nginx and of a reloader, and ways to break it.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use nxmesh_core::{
    contract::reloader::{Candidate, Generation, ReloadError, Reloader},
    testkit::reloader::Configuration,
};

/// What the reloader does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Loads what waits at the entry when it checks.
    CheckReloads,
    /// Finds everything good.
    CheckAcceptsAll,
    /// Does not pass nginx's words on.
    Silent,
    /// Says `Ok` and changes nothing.
    ReloadLies,
    /// Says that the workers of before are the new ones.
    OldWorkers,
    /// Stops what serves before it looks at what comes.
    StopsFirst,
    /// Starts again what runs.
    StartRestarts,
    /// Says that it started.
    StartLies,
    /// Leaves a master without a configuration running.
    StartLeavesLeftovers,
    /// Says that it stopped.
    StopLies,
    /// Fails to stop what does not run.
    StopsTheRunningOnly,
    /// Says that it quit.
    QuitLies,
    /// Starts anew what should go on.
    ResumeRestarts,
    /// Remembers what ran.
    RemembersTheDead,
}

#[derive(Debug)]
struct World {
    entry: String,
    running: Option<(Generation, String)>,
    next_pid: u32,
    last: Option<Generation>,
}

impl World {
    fn spawn(&mut self, master: Option<u32>) -> Generation {
        let mut pid = || {
            self.next_pid += 1;
            self.next_pid
        };
        let generation = Generation {
            master_pid: master.unwrap_or_else(&mut pid),
            workers: BTreeSet::from([pid(), pid()]),
            draining: 0,
            stopped: false,
        };
        self.last = Some(generation.clone());
        generation
    }

    /// Loads the entry into a running or a new master.
    fn load(&mut self, master: Option<u32>) -> Result<Generation, ReloadError> {
        let answer = parse(&self.entry, true)?;
        let generation = self.spawn(master);
        self.running = Some((generation.clone(), answer));
        Ok(generation)
    }
}

fn text(configuration: Configuration<'_>) -> String {
    match configuration {
        Configuration::Answers(text) => format!("answers {text}"),
        Configuration::Broken => "broken".to_owned(),
        Configuration::Unloadable => "unloadable".to_owned(),
    }
}

fn parse(text: &str, load: bool) -> Result<String, ReloadError> {
    let rejected = |reason: &str| ReloadError::Rejected {
        diagnostic: format!("[emerg] {reason}"),
    };
    match text.strip_prefix("answers ") {
        Some(answer) => Ok(answer.to_owned()),
        None if text == "unloadable" && !load => Ok(String::new()),
        None if text == "unloadable" => Err(rejected("bind() to 0.0.0.0:80 failed")),
        None => Err(rejected("unexpected \"}\"")),
    }
}

#[derive(Debug)]
pub(crate) struct Toy {
    world: Arc<Mutex<World>>,
    fault: Fault,
}

impl Toy {
    fn words<T>(&self, result: Result<T, ReloadError>) -> Result<T, ReloadError> {
        result.map_err(|error| match error {
            ReloadError::Rejected { .. } if self.fault == Fault::Silent => ReloadError::Rejected {
                diagnostic: "exit status: 1".to_owned(),
            },
            other => other,
        })
    }
}

#[async_trait]
impl Reloader for Toy {
    fn backend(&self) -> &'static str {
        "toy"
    }

    async fn check(&self, candidate: &Candidate, _: Duration) -> Result<(), ReloadError> {
        if self.fault == Fault::CheckReloads {
            self.reload(Duration::ZERO).await?;
        }
        if self.fault == Fault::CheckAcceptsAll {
            return Ok(());
        }
        let text = candidate.check_conf.to_str().expect("text");
        self.words(parse(text, false).map(drop))
    }

    async fn reload(&self, _: Duration) -> Result<Generation, ReloadError> {
        let mut world = self.world.lock().unwrap();
        let Some((before, _)) = world.running.clone() else {
            return Err(ReloadError::NotRunning);
        };
        match self.fault {
            Fault::ReloadLies => {
                let generation = world.spawn(Some(before.master_pid));
                if let Some((running, _)) = &mut world.running {
                    *running = generation.clone();
                }
                Ok(generation)
            }
            Fault::OldWorkers => world.load(Some(before.master_pid)).map(|_| before),
            Fault::StopsFirst => {
                world.running = None;
                self.words(world.load(Some(before.master_pid)))
            }
            _ => self.words(world.load(Some(before.master_pid))),
        }
    }

    async fn start(&self, _: Duration) -> Result<Generation, ReloadError> {
        let mut world = self.world.lock().unwrap();
        let running = world.running.clone();
        match (running, self.fault) {
            (Some((running, _)), fault) if fault != Fault::StartRestarts => Ok(running),
            (None, Fault::StartLies) => Ok(world.spawn(None)),
            (None, Fault::StartLeavesLeftovers) => {
                let generation = world.spawn(None);
                let result = world.load(None);
                if result.is_err() {
                    world.running = Some((generation, String::new()));
                }
                result
            }
            _ => self.words(world.load(None)),
        }
    }

    async fn stop(&self, _: Duration) -> Result<(), ReloadError> {
        let mut world = self.world.lock().unwrap();
        match (&world.running, self.fault) {
            (_, Fault::StopLies) => {}
            (None, Fault::StopsTheRunningOnly) => return Err(ReloadError::NotRunning),
            _ => world.running = None,
        }
        Ok(())
    }

    async fn quit(&self, _: Duration) -> Result<bool, ReloadError> {
        if self.fault != Fault::QuitLies {
            self.world.lock().unwrap().running = None;
        }
        Ok(true)
    }

    async fn resume(&self) -> Result<(), ReloadError> {
        let mut world = self.world.lock().unwrap();
        if self.fault == Fault::ResumeRestarts && world.running.is_some() {
            world.load(None)?;
        }
        Ok(())
    }

    async fn running(&self) -> Result<Option<Generation>, ReloadError> {
        let world = self.world.lock().unwrap();
        if self.fault == Fault::RemembersTheDead {
            return Ok(world.last.clone());
        }
        Ok(world
            .running
            .as_ref()
            .map(|(generation, _)| generation.clone()))
    }
}

pub(crate) struct Instance(Arc<Mutex<World>>);

impl Instance {
    pub(crate) fn start(fault: Fault) -> (Self, Toy) {
        let mut world = World {
            entry: text(Configuration::Answers("initial")),
            running: None,
            next_pid: 1000,
            last: None,
        };
        world.load(None).expect("the first configuration is good");
        let world = Arc::new(Mutex::new(world));
        (Self(Arc::clone(&world)), Toy { world, fault })
    }

    pub(crate) fn candidate(&self, configuration: Configuration<'_>) -> Candidate {
        Candidate {
            check_conf: PathBuf::from(text(configuration)),
            check_prefix: PathBuf::from("/nowhere"),
        }
    }

    pub(crate) fn switch(&self, configuration: Configuration<'_>) {
        self.0.lock().unwrap().entry = text(configuration);
    }

    pub(crate) fn answer(&self) -> String {
        let world = self.0.lock().unwrap();
        let running = world.running.as_ref();
        running.map_or_else(
            || "connection refused".to_owned(),
            |(_, answer)| answer.clone(),
        )
    }

    pub(crate) fn stop(&self) {
        self.0.lock().unwrap().running = None;
    }
}

/// Makes a rig of a reloader with a fault.
macro_rules! rig {
    ($name:ident: $fault:ident) => {
        pub(crate) struct $name($crate::toy::Instance);

        #[async_trait::async_trait]
        impl nxmesh_core::testkit::reloader::Rig for $name {
            type Subject = $crate::toy::Toy;

            async fn start() -> (Self, $crate::toy::Toy) {
                let fault = $crate::toy::Fault::$fault;
                let (instance, toy) = $crate::toy::Instance::start(fault);
                (Self(instance), toy)
            }

            async fn candidate(
                &self,
                configuration: nxmesh_core::testkit::reloader::Configuration<'_>,
            ) -> nxmesh_core::contract::reloader::Candidate {
                self.0.candidate(configuration)
            }

            async fn switch(
                &self,
                configuration: nxmesh_core::testkit::reloader::Configuration<'_>,
            ) {
                self.0.switch(configuration);
            }

            async fn answer(&self) -> String {
                self.0.answer()
            }

            async fn stop(&self) {
                self.0.stop();
            }
        }
    };
}
pub(crate) use rig;

rig!(Sound: None);
