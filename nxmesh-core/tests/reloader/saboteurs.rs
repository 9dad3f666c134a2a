//! One broken reloader per clause; the clause's test has to fail on it.

use nxmesh_core::testkit::reloader as suite;

macro_rules! saboteurs {
    ($($name:ident: $fault:ident fails $clause:ident;)+) => {$(
        #[tokio::test]
        #[should_panic]
        async fn $name() {
            crate::toy::rig!(Saboteur: $fault);
            suite::$clause::<Saboteur>().await;
        }
    )+};
}

saboteurs! {
    one_that_reloads_to_check: CheckReloads fails a_check_disturbs_nobody;
    one_that_accepts_all: CheckAcceptsAll fails a_check_tells_good_from_bad;
    one_that_keeps_nginx_words: Silent fails a_check_tells_good_from_bad;
    one_that_lies: ReloadLies fails ok_means_clients_see_it;
    one_that_shows_old_workers: OldWorkers fails ok_means_clients_see_it;
    one_that_stops_first: StopsFirst fails a_rejection_keeps_serving;
    one_that_stops_before_loading: StopsFirst fails an_unloadable_configuration_keeps_serving;
    one_that_restarts: StartRestarts fails starting_what_runs_changes_nothing;
    one_that_says_it_started: StartLies fails starting_what_does_not_run_serves;
    one_that_leaves_leftovers: StartLeavesLeftovers fails a_refused_start_is_told;
    one_that_remembers_the_dead: RemembersTheDead fails what_does_not_run_is_none;
    one_that_says_it_stopped: StopLies fails stopped_is_gone_and_can_be_started;
    one_that_says_it_quit: QuitLies fails what_quit_is_gone;
    one_that_starts_anew_what_should_go_on: ResumeRestarts fails what_goes_on_is_what_ran;
    one_that_stops_only_what_runs: StopsTheRunningOnly fails stopping_what_does_not_run_is_done;
}
