//! One broken storage per clause; the clause's test has to fail on it.

use async_trait::async_trait;
use nxmesh_core::testkit::storage::{self as suite, Rig};

use crate::sabotage::{Fault, Sabotaged};

macro_rules! saboteurs {
    ($($name:ident: $fault:ident fails $clause:ident;)+) => {$(
        #[tokio::test]
        #[should_panic]
        async fn $name() {
            struct Saboteur;

            #[async_trait]
            impl Rig for Saboteur {
                type Subject = Sabotaged;

                async fn start() -> (Self, Sabotaged) {
                    (Self, Sabotaged::new(Fault::$fault))
                }

                async fn reopen(&mut self, subject: Sabotaged) -> Sabotaged {
                    match Fault::$fault {
                        Fault::Forgetful => Sabotaged::new(Fault::Forgetful),
                        _ => subject,
                    }
                }
            }

            suite::$clause::<Saboteur>().await;
        }
    )+};
}

saboteurs! {
    one_that_shows_too_early: CommitsEarly fails uncommitted_changes_are_invisible;
    one_that_keeps_dropped_units: CommitsEarly fails a_dropped_unit_leaves_no_trace;
    one_blind_to_its_own_writes: BlindToItself fails a_unit_sees_its_own_writes;
    one_with_drifting_readers: DriftingReader fails a_reader_keeps_its_point_in_time;
    one_whose_readers_wait: ReaderNeedsTheTurn fails a_reader_does_not_wait_for_a_writer;
    one_that_swallows_writes: SwallowsWrites fails a_reader_cannot_write;
    one_that_forgets: Forgetful fails committed_changes_survive;
    one_with_holes: LeavesHoles fails revisions_are_numbered_without_holes;
    one_with_holes_under_load: LeavesHoles fails many_writers_leave_no_holes;
    one_that_numbers_twice: Racing fails many_writers_leave_no_holes;
    one_that_ignores_expectations: IgnoresExpectations fails a_conflict_changes_nothing;
    one_that_applies_half: AppliesHalf fails a_conflict_changes_nothing;
    one_where_the_last_writer_wins: IgnoresExpectations fails one_of_two_writers_wins;
    one_that_races: Racing fails one_of_many_racing_writers_wins;
    one_that_takes_anything: Sloppy fails malformed_change_sets_are_refused;
    one_that_forgets_what_was_before: ForgetsBefore fails a_revision_records_before_and_after;
    one_that_swaps_certificates: SwapsCertificates fails resources_of_every_kind_come_back;
    one_with_one_namespace: OneNamespace fails workspaces_are_apart;
    one_that_fails_on_absence: AbsenceIsAnError fails absence_is_an_answer;
    one_without_limits_of_resources: IgnoresLimits fails resources_are_listed_by_key;
    one_without_order_of_resources: Unordered fails resources_are_listed_by_key;
    one_that_repeats_revisions: RepeatsTheCursor fails revisions_are_listed_by_number;
    one_without_limits_of_revisions: IgnoresLimits fails revisions_are_listed_by_number;
    one_without_order_of_revisions: Unordered fails revisions_are_listed_by_number;
    one_that_repeats_agents: RepeatsTheCursor fails agents_are_listed_by_id;
    one_without_limits_of_agents: IgnoresLimits fails agents_are_listed_by_id;
    one_without_order_of_agents: Unordered fails agents_are_listed_by_id;
    one_that_forgets_facts: ForgetsFacts fails agents_come_back_as_they_were;
    one_that_counts_users_twice: CountsUsersTwice fails users_come_back_as_they_were;
    one_whose_tokens_admit_all: TokenForAll fails a_token_admits_one_install;
    one_whose_tokens_never_expire: TokenForever fails an_expired_token_admits_nobody;
    one_that_uses_tokens_up_early: TokenOutsideTheUnit fails a_token_use_is_undone_with_its_unit;
    one_whose_tokens_race: Racing fails one_of_many_racing_installs_gets_the_token;
    one_that_repeats_audit_entries: RepeatsTheCursor fails audit_entries_are_numbered_and_listed;
    one_without_limits_of_audit_entries: IgnoresLimits fails audit_entries_are_numbered_and_listed;
    one_without_order_of_audit_entries: Unordered fails audit_entries_are_numbered_and_listed;
    one_that_audits_dropped_units: CommitsEarly fails audit_entries_are_numbered_and_listed;
    one_that_lists_audit_entries_one_way: OneEndOnly fails audit_entries_are_numbered_and_listed;
    one_that_forgets_who_did_it: ForgetsActors fails audit_entries_stay_as_they_are;
    one_that_forgets_the_audit_log: Forgetful fails audit_entries_stay_as_they_are;
    one_whose_audit_entries_race: Racing fails racing_audit_entries_leave_no_holes;
    one_that_keeps_expired_tokens: KeepsTokens fails expired_tokens_are_removed;
    one_that_forgets_keys_on_offer: ForgetsOffers fails keys_of_agents_change_and_survive;
    one_that_keeps_keys_of_dropped_units: CommitsEarly fails keys_of_agents_change_and_survive;
    one_that_forgets_all_keys: Forgetful fails keys_of_agents_change_and_survive;
    one_that_changes_any_keys: AnyKeys fails unexpected_keys_of_agents_are_a_conflict;
    one_that_puts_keys: PutsKeys fails putting_an_agent_leaves_its_keys;
    one_whose_key_changes_race: Racing fails one_of_many_racing_key_changes_wins;
}
