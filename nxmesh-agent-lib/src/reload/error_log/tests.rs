use super::*;
use std::io::Write as _;

fn log() -> (File, ErrorLog) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let reader = file.reopen().unwrap();
    (file.into_file(), ErrorLog::new(Some(reader), 7, vec![3]))
}

#[test]
fn the_log_of_the_main_block_is_found() {
    let named = |conf: &str| named_in(conf).map(|path| path.display().to_string());
    let conf = "events {}\nerror_log \"/var/log/a b.log\" warn;\nhttp { error_log /x; }";
    assert_eq!(named(conf), Some("/var/log/a b.log".to_owned()));
    for none in [
        "http { error_log /x; }",
        "error_log stderr;",
        "error_log syslog:server=a;",
        "{",
    ] {
        assert_eq!(named(none), None, "{none}");
    }
}

#[test]
fn what_is_written_after_an_end_is_told_even_in_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "2026/11/23 14:48:40 [emerg] 8#8: old\n").unwrap();
    let end = End::of(path.clone()).unwrap();
    assert_eq!(end.diagnostic_since(), "");
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"2026/11/23 14:48:41 [emerg] 9#9: bind() failed\n")
        .unwrap();
    assert_eq!(end.diagnostic_since(), "[emerg] bind() failed");
    std::fs::write(&path, "2026/11/23 14:49:00 [emerg] 9#9: new\n").unwrap();
    let end = End { at: 10_000, ..end };
    assert_eq!(end.diagnostic_since(), "[emerg] new");
}

#[test]
fn only_lines_of_the_master_count_and_only_whole_ones() {
    let (mut file, mut log) = log();
    file.write_all(b"2026/11/23 14:48:40 [emerg] 8#8: unknown directive\n")
        .unwrap();
    file.write_all(b"2026/11/23 14:48:40 [emerg] 7#7: unknown dir")
        .unwrap();
    assert_eq!(log.read(), Says::Nothing);
    file.write_all(b"ective \"foo\"\n").unwrap();
    assert_eq!(log.read(), Says::Refused);
    assert_eq!(log.diagnostic(), "[emerg] unknown directive \"foo\"");
}

#[test]
fn what_stands_in_another_processs_line_does_not_count() {
    let (mut file, mut log) = log();
    let forged = b"2026/11/23 14:48:40 [error] 8#8: *1 open() \"/srv/[emerg] 7#7: x\" failed\n";
    file.write_all(forged).unwrap();
    assert_eq!(log.read(), Says::Nothing);
}

#[test]
fn a_taken_port_is_final_only_after_the_last_try() {
    let (mut file, mut log) = log();
    let tried = b"x [emerg] 7#7: bind() to 127.0.0.1:80 failed (98: Address already in use)\n";
    file.write_all(&tried.repeat(5)).unwrap();
    assert_eq!(log.read(), Says::Nothing);
    file.write_all(b"x [emerg] 7#7: still could not bind()\n")
        .unwrap();
    assert_eq!(log.read(), Says::Refused);
    assert_eq!(
        log.diagnostic(),
        "[emerg] bind() to 127.0.0.1:80 failed (98: Address already in use)\n\
         [emerg] still could not bind()"
    );
}

#[test]
fn dying_workers_are_told_from_a_refusal() {
    let (mut file, mut log) = log();
    let earlier =
        b"x [alert] 7#7: worker process 3 exited with fatal code 2 and cannot be respawned\n";
    file.write_all(earlier).unwrap();
    assert_eq!(log.read(), Says::Nothing, "it was there before");
    file.write_all(
        b"x [alert] 7#7: worker process 9 exited with fatal code 2 and cannot be respawned\n",
    )
    .unwrap();
    assert_eq!(log.read(), Says::WorkersDie);
    file.write_all(b"x [emerg] 7#7: open() failed\n").unwrap();
    assert_eq!(log.read(), Says::WorkersDie);
}
