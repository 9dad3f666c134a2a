//! What a master can tell an agent to do at once.

use std::time::Duration;

use nxmesh_agent_lib::{Agent, ConnectionState, testkit::ScriptedMaster};
use nxmesh_core::wire::{Command, CommandKind, CommandResult, ConfigPhase};

use crate::rig::{Rig, applied, site, version};

async fn done(master: &ScriptedMaster, id: &str, kind: CommandKind) -> CommandResult {
    master.command(Command {
        id: id.to_owned(),
        deadline: 0,
        kind: kind.into(),
        ..Command::default()
    });
    result(master, id).await
}

async fn result(master: &ScriptedMaster, id: &str) -> CommandResult {
    master
        .wait_for(|heard| heard.results.iter().find(|result| result.id == id).cloned())
        .await
        .unwrap()
}

/// A drained agent serves on and takes nothing, also after a restart; what it
/// missed it takes when it is undrained.
#[tokio::test]
async fn a_drained_agent_takes_no_version_until_it_is_undrained() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport.clone());
    master.desire(version(1), &site(rig.port, "before"));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    let drained = done(&master, "1", CommandKind::Drain).await;
    assert!(drained.ok, "{drained:?}");
    agent.reached(|status| status.drained).await;

    master.desire(version(2), &site(rig.port, "while drained"));
    // Commands come after offers: once this is answered, the offer was passed over.
    let checked = done(&master, "2", CommandKind::Recheck).await;
    assert!(checked.message.starts_with("no drift"), "{checked:?}");
    assert_eq!(rig.get().await, (200, "before".to_owned()));
    agent.stop().await.unwrap();

    let hellos = master.heard().hellos.len();
    let mut agent = rig.start(transport);
    agent
        .reached(|status| status.drained && status.nginx.running)
        .await;
    let hello = master.wait_for(|heard| heard.hellos.get(hellos).cloned());
    assert!(hello.await.unwrap().drained);
    let checked = done(&master, "3", CommandKind::Recheck).await;
    assert!(checked.ok, "{checked:?}");
    assert_eq!(rig.get().await, (200, "before".to_owned()));

    let undrained = done(&master, "4", CommandKind::Undrain).await;
    assert!(undrained.ok, "{undrained:?}");
    let applied = master.status(version(2), ConfigPhase::Applied);
    applied.await.unwrap();
    assert_eq!(rig.get().await, (200, "while drained".to_owned()));
    agent.reached(|status| !status.drained).await;
    agent.stop().await.unwrap();
}

/// Another process serves the same, and nothing was cut off.
#[tokio::test]
async fn a_restart_is_another_process_that_serves_the_same() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport);
    master.desire(version(1), &site(rig.port, "up"));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    let before = agent.reached(|status| status.nginx.running).await;
    let restarted = done(&master, "1", CommandKind::Restart).await;
    assert!(restarted.ok, "{restarted:?}");
    assert!(restarted.message.contains("finished"), "{restarted:?}");
    let after = agent.reached(|status| status.nginx.running).await;
    assert_ne!(before.nginx.master_pid, after.nginx.master_pid);
    assert_eq!(rig.get().await, (200, "up".to_owned()));
    agent.stop().await.unwrap();
}

/// The command fails, and nobody notices.
#[tokio::test]
async fn an_nginx_that_would_not_come_back_is_not_restarted() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let binary = rig.own_binary();
    let agent = Agent::builder(rig.options()).transport(transport);
    let mut agent = Rig::run(agent.reloader(rig.reloader_with(binary.0.clone())));
    applied(&master, 1, &site(rig.port, "up")).await;
    let before = agent.reached(|status| status.nginx.running).await;
    binary.break_it();
    let restarted = done(&master, "1", CommandKind::Restart).await;
    assert!(!restarted.ok, "{restarted:?}");
    let told = restarted.message;
    assert!(
        told.contains("is not restarted") && told.contains("-t -c"),
        "{told}"
    );
    assert_eq!(rig.get().await, (200, "up".to_owned()));
    let after = agent.reached(|status| status.nginx.running).await;
    assert_eq!(before.nginx.master_pid, after.nginx.master_pid);
    assert_eq!(after.nginx.problem, None);
    binary.mend();
    let restarted = done(&master, "2", CommandKind::Restart).await;
    assert!(restarted.ok, "{restarted:?}");
    assert_eq!(rig.get().await, (200, "up".to_owned()));
    agent.stop().await.unwrap();
}

/// Nothing of what somebody else wrote is put into service on command.
#[tokio::test]
async fn files_that_were_changed_are_not_reloaded() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport);
    applied(&master, 1, &site(rig.port, "written")).await;
    let reloaded = done(&master, "1", CommandKind::Reload).await;
    assert!(reloaded.ok, "{reloaded:?}");
    let mut host = None;
    for file in confs(&rig) {
        let text = std::fs::read_to_string(&file).unwrap();
        if text.contains("written") {
            std::fs::write(&file, text.replace("written", "edited")).unwrap();
            host = Some(file);
        }
    }
    let reloaded = done(&master, "2", CommandKind::Reload).await;
    assert!(!reloaded.ok, "{reloaded:?}");
    let name = host
        .as_ref()
        .and_then(|it| it.file_name()?.to_str())
        .unwrap();
    assert!(reloaded.message.contains(name), "{reloaded:?}");
    assert_eq!(rig.get().await, (200, "written".to_owned()));
    let restarted = done(&master, "3", CommandKind::Restart).await;
    assert!(restarted.ok, "{restarted:?}");
    assert_eq!(rig.get().await, (200, "written".to_owned()));
    agent.reached(|status| status.drift.is_none()).await;
    agent.stop().await.unwrap();
}

/// The files of all releases.
fn confs(rig: &Rig) -> Vec<std::path::PathBuf> {
    let mut folders = vec![rig.state_dir().join("releases")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "conf") {
                files.push(path);
            }
        }
    }
    files
}

#[tokio::test]
async fn a_recheck_tells_of_files_that_were_changed() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start(transport);
    master.desire(version(1), &site(rig.port, "up"));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    let checked = done(&master, "1", CommandKind::Recheck).await;
    assert!(checked.message.starts_with("no drift"), "{checked:?}");

    let files = confs(&rig);
    assert!(!files.is_empty());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + "# edited\n").unwrap();
    }
    let checked = done(&master, "2", CommandKind::Recheck).await;
    assert!(checked.message.contains("changed on disk"), "{checked:?}");
    agent.stop().await.unwrap();
}

/// A result that may have been lost with its session is told again.
#[tokio::test]
async fn a_result_is_told_again_until_the_master_has_it() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let mut agent = rig.start(transport);
    master.desire(version(1), &site(rig.port, "up"));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    done(&master, "1", CommandKind::Recheck).await;
    let told = |count: usize| {
        master.wait_for(move |heard| {
            let told = heard.results.iter().filter(|result| result.id == "1");
            (told.count() == count).then_some(())
        })
    };
    master.go_away();
    agent
        .reached(|it| it.connection.state != ConnectionState::Ready)
        .await;
    master.come_back();
    told(2).await.unwrap();
    master.acknowledge("1");
    // Once this is answered the acknowledgement has arrived, too.
    done(&master, "2", CommandKind::Recheck).await;
    master.go_away();
    agent
        .reached(|it| it.connection.state != ConnectionState::Ready)
        .await;
    master.come_back();
    master
        .wait_for(|heard| {
            let told = heard.results.iter().filter(|result| result.id == "2");
            (told.count() == 2).then_some(())
        })
        .await
        .unwrap();
    told(2).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), agent.stop())
        .await
        .unwrap()
        .unwrap();
}
