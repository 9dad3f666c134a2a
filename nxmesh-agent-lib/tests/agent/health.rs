//! What is measured and told to the master.

use std::{net::Ipv4Addr, time::Duration};

use nxmesh_agent_lib::{AgentOptions, health::HttpCheck, testkit::ScriptedMaster};
use nxmesh_core::{
    testkit::sample,
    wire::{CheckResult, ConfigPhase, HealthReport},
};

use crate::rig::{Rig, site, slice, version};

/// Waits until the newest report is as expected.
pub(crate) async fn told(
    master: &ScriptedMaster,
    mut good: impl FnMut(&HealthReport) -> bool,
) -> HealthReport {
    let told = master.wait_for(|heard| heard.health.last().filter(|it| good(it)).cloned());
    told.await.unwrap()
}

pub(crate) fn check<'a>(report: &'a HealthReport, name: &str) -> Option<&'a CheckResult> {
    report.checks.iter().find(|check| check.name == name)
}

fn brisk(options: &mut AgentOptions, check: HttpCheck) {
    let (often, patient) = (Duration::from_millis(20), Duration::from_secs(5));
    options.health.checks.push(check.timing(often, patient));
}

#[tokio::test]
async fn a_check_that_fails_is_told_at_once_and_when_it_is_well_again() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let url = format!("http://127.0.0.1:{}/", rig.port);
    let agent = rig.start_with(transport, |options| {
        let site = HttpCheck::new("site", &url).unwrap();
        let site = site.host("site.example").unwrap().contains("alive");
        brisk(options, site);
        let picky = HttpCheck::new("picky", &url).unwrap();
        brisk(options, picky.expect(vec!["404".parse().unwrap()]));
        let probe = options.apply.layout.probe_socket();
        let url = format!("http://unix:{}:/nxmesh/release", probe.display());
        brisk(options, HttpCheck::new("socket", &url).unwrap());
    });
    for (revision, body, fine) in [(1, "alive", true), (2, "gone", false), (3, "alive", true)] {
        master.desire(version(revision), &site(rig.port, body));
        let applied = master.status(version(revision), ConfigPhase::Applied);
        applied.await.unwrap();
        let report = told(&master, |report| {
            check(report, "http/site").is_some_and(|it| it.ok == fine)
        });
        let report = report.await;
        let site = check(&report, "http/site").unwrap();
        assert!(site.since > 0);
        assert_eq!(site.message.is_empty(), fine, "{site:?}");
        if !fine {
            assert_eq!(site.message, "the body does not contain \"alive\"");
        }
    }
    let report = told(&master, |report| {
        check(report, "http/socket").is_some_and(|it| it.ok)
            && check(report, "http/picky").is_some_and(|it| it.message.starts_with("status"))
    });
    let report = report.await;
    let picky = check(&report, "http/picky").unwrap();
    assert_eq!(picky.message, "status 200 instead of 404");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_fails_in_its_time() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    // It accepts, and says nothing.
    let mute = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/", mute.local_addr().unwrap());
    let agent = rig.start_with(transport, |options| {
        let check = HttpCheck::new("mute", &url).unwrap();
        let short = Duration::from_millis(50);
        options.health.checks.push(check.timing(short, short));
    });
    let report = told(&master, |report| check(report, "http/mute").is_some()).await;
    let mute = check(&report, "http/mute").unwrap();
    assert_eq!((mute.ok, &*mute.message), (false, "no answer within 50ms"));
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn machine_connections_and_certificates_are_told() {
    let rig = Rig::new();
    let (master, transport) = ScriptedMaster::start();
    let agent = rig.start_with(transport, |options| {
        options.health.interval = Duration::from_millis(100);
        options.connection.heartbeat = Duration::from_millis(200);
    });
    let certificate = sample::certificate("shop");
    let shown = certificate.spec.certificate.fingerprint();
    let document = nxmesh_core::model::Resource::from(certificate).to_canonical_json();
    let text = format!(
        "kind: VirtualHost\nmetadata: {{ name: shop }}\nspec:\n  server_names: [shop.example]\n  \
         listen: [{{ port: {}, address: 127.0.0.1, tls: true }}]\n  tls: {{ certificate: shop }}\n  \
         locations: [{{ path: /, respond: {{ status: 204 }} }}]\n---\n{}\n",
        rig.port,
        String::from_utf8(document).unwrap()
    );
    master.desire(version(1), &slice(&text));
    let applied = master.status(version(1), ConfigPhase::Applied);
    applied.await.unwrap();
    let report = told(&master, |report| {
        report.certificates.iter().any(|it| !it.serial.is_empty())
            && report.connections.is_some_and(|it| it.requests > 0)
    });
    let report = report.await;
    let served = &report.certificates[0];
    assert_eq!(served.server_name, "shop.example");
    assert_eq!(served.address, format!("127.0.0.1:{}", rig.port));
    assert_eq!(served.fingerprint[..], shown.as_bytes()[..]);
    assert!(served.expected && served.problem.is_empty(), "{served:?}");
    let system = report.system.unwrap();
    assert!(
        system.memory_total_bytes > 0 && system.disk_total_bytes > 0,
        "{system:?}"
    );
    agent.stop().await.unwrap();
}
