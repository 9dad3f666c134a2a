//! A bootstrap token admits one agent, once, for its time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nxmesh_core::api::BootstrapTokenResponse;
use nxmesh_e2e::node::{Admission, Mode};
use nxmesh_e2e::{Cluster, wait};

/// An agent with this token ends with an error that names the token, and is not known to the master.
#[track_caller]
fn refused(cluster: &Cluster, name: &str, admission: &Admission) -> String {
    let known = cluster.agents().unwrap().len();
    let mut node = cluster.prepare_node(name, Mode::Full, admission).unwrap();
    node.start().unwrap();
    let status = node.process().unwrap().wait().unwrap();
    let said = node.process().unwrap().output().unwrap();
    assert_eq!(status.code(), Some(6), "{status}\n{said}");
    let error = said.lines().last().unwrap_or_default();
    assert!(
        error.starts_with("error: ") && error.contains("token"),
        "{said}"
    );
    assert!(
        !said.contains(&admission.token),
        "the token was logged:\n{said}"
    );
    assert!(
        node.nginx().is_empty(),
        "an agent that was not admitted started nginx"
    );
    assert_eq!(cluster.agents().unwrap().len(), known);
    error.to_owned()
}

#[test]
fn a_token_works_once_and_a_wrong_one_never() {
    let mut cluster = Cluster::start(0).unwrap();
    let admission = cluster.admission("node=n1").unwrap();
    let mut node = cluster.prepare_node("n1", Mode::Full, &admission).unwrap();
    node.start().unwrap();
    cluster.nodes.push(node);
    cluster.until_ready().unwrap();

    refused(&cluster, "n2", &admission);
    let mut wrong = cluster.admission("node=n3").unwrap();
    let last = if wrong.token.ends_with('0') { "1" } else { "0" };
    wrong.token.replace_range(wrong.token.len() - 1.., last);
    refused(&cluster, "n3", &wrong);
    wrong.token = "open sesame".to_owned();
    refused(&cluster, "n4", &wrong);

    // The one that was admitted needs its token no more.
    let node = &mut cluster.nodes[0];
    node.stop().unwrap();
    std::fs::remove_file(node.folder().join("token")).unwrap();
    std::fs::write(node.folder().join("token"), "spent").unwrap();
    node.start().unwrap();
    cluster.until_ready().unwrap();
}

#[test]
fn an_expired_token_is_refused() {
    let cluster = Cluster::start(0).unwrap();
    // The shortest life there is.
    let answer = cluster
        .ctl
        .run(&["agent", "enroll", "--ttl", "60s", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    let answer: BootstrapTokenResponse = serde_json::from_value(answer).unwrap();
    wait::until_within(Duration::from_secs(90), "the token is too old", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        Ok((now > u128::from(answer.expires_at)).then_some(()))
    })
    .unwrap();
    let admission = Admission {
        master_url: answer.master_url,
        token: answer.token,
        ca_pem: answer.ca_pem,
    };
    refused(&cluster, "late", &admission);
}

#[test]
fn a_master_of_another_authority_is_not_talked_to() {
    let cluster = Cluster::start(0).unwrap();
    let mut admission = cluster.admission("").unwrap();
    let stranger = nxmesh_e2e::certificate::SelfSigned::new("stranger.test").unwrap();
    admission.ca_pem = stranger.certificate_pem;
    let mut node = cluster.prepare_node("n1", Mode::Full, &admission).unwrap();
    node.start().unwrap();
    wait::until("the agent says that it does not trust the master", || {
        let said = node.process()?.output()?;
        Ok(said.contains("certificate").then_some(()))
    })
    .unwrap();
    assert!(cluster.agents().unwrap().is_empty());
    // The token was not given away: with the right authority it still admits.
    drop(node);
    let right = cluster.admission("").unwrap();
    admission.ca_pem = right.ca_pem;
    let mut node = cluster.prepare_node("n2", Mode::Full, &admission).unwrap();
    node.start().unwrap();
    wait::until("the agent is admitted", || {
        Ok((cluster.agents()?.len() == 1).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_removed_agent_comes_back_in_the_way_its_refusal_tells() {
    let mut cluster = Cluster::start(1).unwrap();
    let documents = cluster.nodes[0].answering("shop", "shop.test", "served");
    cluster.apply(&documents).unwrap().success().unwrap();
    let removed = cluster.agents().unwrap()[0].id.clone();
    let delete = ["delete", "agent", removed.as_str(), "--yes"];
    cluster.ctl.run(&delete).unwrap().success().unwrap();
    let audit = ["get", "audit", "-n", "1", "-o", "json"];
    let audit = cluster.ctl.run(&audit).unwrap().json().unwrap();
    assert_eq!(audit["items"][0]["action"], "agent:delete", "{audit}");
    assert_eq!(audit["items"][0]["subject"], format!("agent/{removed}"));

    let node = &mut cluster.nodes[0];
    wait::until("the agent is told how to come back", || {
        let said = node.process()?.output()?;
        Ok(said.contains("remove the file identity").then_some(()))
    })
    .unwrap();
    let answer = node.http("shop.test", "/").get().unwrap();
    assert_eq!(answer.text(), "served", "nginx goes on");
    node.stop().unwrap();
    let folder = node.folder().to_owned();
    std::fs::remove_file(folder.join("state/identity")).unwrap();
    let token = cluster.admission("node=n1").unwrap().token;
    std::fs::write(folder.join("token"), token).unwrap();
    cluster.nodes[0].start().unwrap();
    cluster.until_ready().unwrap();
    let agents = cluster.agents().unwrap();
    assert_eq!(agents.len(), 1, "{agents:?}");
    assert_ne!(agents[0].id, removed);

    let node = &cluster.nodes[0];
    let documents = node.answering("shop", "shop.test", "back");
    cluster.apply(&documents).unwrap().success().unwrap();
    assert_eq!(node.http("shop.test", "/").get().unwrap().text(), "back");
}
