//! Somebody else changes the files of an agent.

use std::{fs, path::PathBuf};

use nxmesh_e2e::{Cluster, node::Node, wait};

/// The file of the one virtual host, in the newest release.
fn host_file(node: &Node) -> PathBuf {
    let releases = fs::read_dir(node.state_dir().join("releases")).unwrap();
    let release = releases.map(|it| it.unwrap().path()).max().unwrap();
    let mut files = fs::read_dir(release.join("virtual-hosts")).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn what_was_changed_is_shown_and_with_repair_undone() {
    let mut cluster = Cluster::start(1).unwrap();
    let documents = cluster.nodes[0].answering("shop", "shop.test", "written");
    cluster.apply(&documents).unwrap().success().unwrap();
    let file = host_file(&cluster.nodes[0]);
    let written = fs::read_to_string(&file).unwrap();
    let edited = written.replace("written", "edited");
    assert_ne!(written, edited);
    fs::write(&file, &edited).unwrap();
    let agent = wait::until("the master knows", || {
        let agent = cluster.agent(&cluster.nodes[0])?;
        Ok(agent.drift.is_some().then_some(agent))
    })
    .unwrap();
    assert!(
        !agent.in_sync && agent.applied == agent.desired,
        "{agent:?}"
    );
    let wide = cluster.ctl.run(&["get", "agents", "-o", "wide"]);
    let wide = wide.unwrap().success().unwrap().stdout;
    assert!(wide.contains("drift"), "{wide}");
    let described = cluster.ctl.run(&["describe", "agent", agent.id.as_str()]);
    let text = described.unwrap().success().unwrap().stdout;
    for part in ["nginx has not read them since", "changed", "(found)"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let shown = text
        .lines()
        .find(|line| line.starts_with('+') && line.contains("edited"));
    assert!(shown.is_some(), "{text}");
    assert_eq!(fs::read_to_string(&file).unwrap(), edited, "only reported");

    let node = &mut cluster.nodes[0];
    node.stop().unwrap();
    node.tell(&["--drift", "repair"]);
    node.start().unwrap();
    wait::until("it is forgotten", || {
        let agent = cluster.agent(&cluster.nodes[0])?;
        Ok((agent.connected && agent.drift.is_none() && agent.in_sync).then_some(()))
    })
    .unwrap();
    let file = host_file(&cluster.nodes[0]);
    fs::write(&file, &edited).unwrap();
    wait::until("the file is as it was", || {
        Ok((fs::read_to_string(&file)? == written).then_some(()))
    })
    .unwrap();
    let answer = cluster.nodes[0].http("shop.test", "/").get().unwrap();
    assert_eq!(answer.text(), "written");
}
