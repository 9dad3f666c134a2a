//! The agent as a service of systemd.

use std::process::Command;

#[test]
fn the_unit_is_sound_and_shut_in() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/nxmesh-agent.service");
    let look = |arguments: &[&str]| {
        Command::new("systemd-analyze")
            .args(arguments)
            .arg(unit)
            .output()
    };
    let Ok(judged) = look(&["security", "--offline=true", "--threshold=30", "--no-pager"]) else {
        println!("no systemd-analyze on this machine, the unit was not looked at");
        return;
    };
    let text = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{text}");
    assert!(text.contains("Overall exposure level"), "{text}");

    let verified = look(&["verify", "--man=no"]).unwrap();
    let text = String::from_utf8_lossy(&verified.stderr);
    // The program may not be installed here; all else has to be understood.
    let faults: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("nxmesh-agent.service") && !line.contains("is not executable"))
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
}
