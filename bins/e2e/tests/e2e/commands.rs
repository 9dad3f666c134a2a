//! Commands to agents from the command line.

use nxmesh_e2e::{Cluster, wait};

#[test]
fn agents_are_told_what_to_do() {
    let mut cluster = Cluster::start(1).unwrap();
    let site =
        |cluster: &Cluster, answer: &str| cluster.nodes[0].answering("shop", "shop.test", answer);
    let served = |cluster: &Cluster| {
        let asked = cluster.nodes[0].http("shop.test", "/").get();
        asked.unwrap().text()
    };
    let text = site(&cluster, "one");
    cluster.apply(&text).unwrap().success().unwrap();
    let agent = cluster.agent(&cluster.nodes[0]).unwrap();
    let id = agent.id.to_string();
    let run = |cluster: &Cluster, arguments: &[&str]| cluster.ctl.run(arguments).unwrap();

    for name in [id.as_str(), agent.hostname.as_str()] {
        let reload = run(&cluster, &["agent", "reload", name]);
        assert_eq!(reload.code, 0, "{}", reload.text());
        assert!(
            reload.stdout.contains("new workers serve"),
            "{}",
            reload.text()
        );
    }
    let recheck = run(&cluster, &["agent", "recheck", &id]);
    assert_eq!(recheck.code, 0, "{}", recheck.text());
    assert!(recheck.stdout.contains("no drift"), "{}", recheck.text());
    assert_eq!(run(&cluster, &["agent", "reload", "nobody"]).code, 4);
    assert_eq!(
        run(&cluster, &["agent", "reload", &id, "--timeout", "1h"]).code,
        64
    );

    let restart = run(&cluster, &["agent", "restart", &id]);
    assert_eq!(restart.code, 0, "{}", restart.text());
    assert!(restart.stdout.contains("finished"), "{}", restart.text());
    assert_eq!(served(&cluster), "one");
    let logs = run(&cluster, &["logs", &id, "-n", "5"]);
    assert_eq!(logs.code, 0, "{}", logs.text());
    let lines = logs.stdout.lines();
    assert!(lines.clone().count() <= 5, "{}", logs.text());
    let ending = lines.filter(|line| line.contains("[notice]"));
    assert!(ending.count() > 0, "{}", logs.text());
    assert_eq!(run(&cluster, &["logs", &id, "-n", "1001"]).code, 64);

    let audited = wait::until("the results are in the audit log", || {
        let audit = run(&cluster, &["get", "audit", "--since", "1h", "-o", "json"]);
        let audit = audit.json()?;
        let entries = audit["items"].as_array().cloned().unwrap_or_default();
        let told: Vec<_> = entries
            .iter()
            .filter(|it| it["action"] == "agent:recheck" || it["action"] == "agent:restart")
            .map(|it| ["actor", "action", "outcome"].map(|field| it[field].clone()))
            .collect();
        Ok((told.len() == 4).then_some(told))
    });
    let subject = format!("agent/{id}");
    let expected: Vec<_> = ["agent:recheck", "agent:restart"]
        .iter()
        .flat_map(|action| [["admin", action, "asked"], [&subject, action, "done"]])
        .collect();
    assert_eq!(audited.unwrap(), expected);
    let newest = run(&cluster, &["get", "audit", "-n", "2", "-o", "name"]);
    assert_eq!(newest.stdout.lines().count(), 2, "{}", newest.text());
    let table = run(&cluster, &["get", "audit", "--since", "1h"]);
    assert_eq!(table.code, 0, "{}", table.text());
    assert!(table.stdout.starts_with("NUMBER"), "{}", table.text());
    assert!(table.stdout.contains("agent:reload"), "{}", table.text());
    assert_eq!(run(&cluster, &["get", "agents", "-n", "4"]).code, 64);

    let drain = run(&cluster, &["agent", "drain", &id]);
    assert_eq!(drain.code, 0, "{}", drain.text());
    let text = site(&cluster, "two");
    let applied = cluster.apply(&text).unwrap();
    assert_eq!(applied.code, 0, "{}", applied.text());
    assert!(applied.stdout.contains("drained"), "{}", applied.text());
    assert!(
        applied.stdout.contains("0 updated, 0 failed, 1 skipped"),
        "{}",
        applied.text()
    );
    assert_eq!(served(&cluster), "one");
    let agents = run(&cluster, &["get", "agents"]);
    assert!(agents.stdout.contains("true,drained"), "{}", agents.text());
    let described = run(&cluster, &["describe", "agent", &id]);
    assert!(described.stdout.contains("undrain"), "{}", described.text());
    let undrain = run(&cluster, &["agent", "undrain", &id]);
    assert_eq!(undrain.code, 0, "{}", undrain.text());
    wait::until("what was missed is served", || {
        Ok((served(&cluster) == "two").then_some(()))
    })
    .unwrap();

    cluster.nodes[0].kill9().unwrap();
    wait::until("the agent is away", || {
        Ok((!cluster.agents()?[0].connected).then_some(()))
    })
    .unwrap();
    let away = run(&cluster, &["agent", "reload", &id]);
    assert_eq!(away.code, 5, "{}", away.text());
    assert!(away.stderr.contains("not connected"), "{}", away.text());
}
