//! What to do next: a pure function, so that every case can be tried.

use tokio::time::Instant;

use super::{
    desired::Desired,
    observed::{Nginx, Observed},
};
use crate::exchange::Offer;

/// The one thing that is done next.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Bring nginx up and to what it should serve.
    Recover,
    /// End an nginx that does not react, and bring it up.
    Restart,
    /// Bring nginx to what is offered.
    Apply(Offer),
    /// Do what the master commands.
    Obey,
    /// Lead nginx around servers that fail, or back.
    Mark,
    /// Look at nginx.
    Observe,
    /// Compare its files with what was written.
    Check,
    /// Nothing before this time, unless something new is wanted.
    Wait(Instant),
}

/// A lost nginx comes first, for nothing is worse than not serving. While it
/// cannot be recovered new offers are tried, as one of them may be the cure. One
/// that does not react can take no offer, so an offer has it restarted at once.
pub(super) fn decide(desired: &Desired, observed: &Observed, now: Instant) -> Action {
    let offer = desired.offer.as_ref();
    let offer = offer.filter(|offer| offer.serial > observed.handled);
    let may_recover = observed.recover_at <= now;
    match observed.nginx {
        Nginx::Unknown | Nginx::Astray if may_recover => return Action::Recover,
        Nginx::Hung if may_recover || offer.is_some() => return Action::Restart,
        _ => {}
    }
    let held = observed.held_until(now);
    if let Some(offer) = offer
        && observed.nginx != Nginx::Silent
        && held.is_none()
    {
        return Action::Apply(offer.clone());
    }
    if desired.command {
        return Action::Obey;
    }
    let mark = observed.mark_at.max(held.unwrap_or(observed.mark_at));
    let mark = (desired.marks && observed.nginx == Nginx::Fine).then_some(mark);
    if mark.is_some_and(|at| at <= now) {
        return Action::Mark;
    }
    if observed.observe_at <= now {
        return Action::Observe;
    }
    if observed.check_at <= now {
        return Action::Check;
    }
    let next = observed.observe_at.min(observed.check_at);
    let until = match observed.nginx {
        Nginx::Fine | Nginx::Silent => next,
        _ => next.min(observed.recover_at),
    };
    let until = mark.map_or(until, |at| until.min(at));
    Action::Wait(match (offer, held) {
        (Some(_), Some(held)) => until.min(held),
        _ => until,
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use nxmesh_core::{bundle::Slice, model::Version};
    use proptest::prelude::*;

    use super::*;
    use crate::apply::Target;

    fn offer(serial: u64) -> Offer {
        let version = Version {
            epoch: 1,
            revision: serial,
        };
        Offer {
            serial,
            target: Arc::new(Target {
                version,
                slice: Slice::default(),
            }),
        }
    }

    /// A case, with its times as seconds before (negative) or after now.
    #[derive(Debug, Clone)]
    struct Case {
        offered: u64,
        handled: u64,
        command: bool,
        nginx: Nginx,
        recover_in: i8,
        observe_in: i8,
        /// When the next reload may be made, if not at once.
        reload_in: Option<i8>,
        check_in: i8,
        /// When servers may be marked, if others are to be.
        mark_in: Option<i8>,
    }

    impl Case {
        fn decide(&self) -> (Action, Instant) {
            let now = Instant::now() + Duration::from_secs(1000);
            let at = |seconds: i8| {
                let span = Duration::from_secs(seconds.unsigned_abs().into());
                if seconds < 0 { now - span } else { now + span }
            };
            let desired = Desired {
                offer: (self.offered > 0).then(|| offer(self.offered)),
                command: self.command,
                marks: self.mark_in.is_some(),
            };
            let observed = Observed {
                handled: self.handled,
                nginx: self.nginx,
                recover_at: at(self.recover_in),
                observe_at: at(self.observe_in),
                reload_at: self.reload_in.map(at),
                check_at: at(self.check_in),
                mark_at: at(self.mark_in.unwrap_or_default()),
            };
            (decide(&desired, &observed, now), now)
        }

        fn quiet() -> Self {
            Self {
                offered: 3,
                handled: 3,
                command: false,
                nginx: Nginx::Fine,
                recover_in: -5,
                observe_in: 5,
                reload_in: None,
                check_in: 50,
                mark_in: None,
            }
        }

        fn may_mark(&self) -> bool {
            let due = self.mark_in.is_some_and(|seconds| seconds <= 0);
            due && self.nginx == Nginx::Fine && !self.is_held()
        }

        /// Whether an offer waits for the room between two reloads.
        fn is_held(&self) -> bool {
            self.nginx == Nginx::Fine && self.reload_in.is_some_and(|seconds| seconds > 0)
        }
    }

    fn cases() -> impl Strategy<Value = Case> {
        let nginx = prop_oneof![
            Just(Nginx::Unknown),
            Just(Nginx::Fine),
            Just(Nginx::Astray),
            Just(Nginx::Silent),
            Just(Nginx::Hung)
        ];
        let reload = proptest::option::of(-3..3i8);
        let mark = proptest::option::of(-3..3i8);
        let times = (-3..3i8, -3..3i8, -3..3i8, reload, mark);
        (0..4u64, 0..4u64, any::<bool>(), nginx, times).prop_map(
            |(offered, handled, command, nginx, times)| {
                let (recover_in, observe_in, check_in, reload_in, mark_in) = times;
                Case {
                    offered,
                    handled,
                    command,
                    nginx,
                    recover_in,
                    observe_in,
                    check_in,
                    reload_in,
                    mark_in,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn it_never_waits_while_something_is_due(case in cases()) {
            let (action, now) = case.decide();
            let watched = matches!(case.nginx, Nginx::Fine | Nginx::Silent);
            let waits = case.nginx == Nginx::Silent || case.is_held();
            let due = (case.offered > case.handled && !waits)
                || case.command
                || case.observe_in <= 0
                || case.check_in <= 0
                || case.may_mark()
                || (!watched && case.recover_in <= 0);
            match action {
                Action::Wait(until) => prop_assert!(!due && until > now),
                _ => prop_assert!(due),
            }
        }

        #[test]
        fn it_recovers_only_what_is_lost_and_not_too_often(case in cases()) {
            let recovers = matches!(case.decide().0, Action::Recover);
            let lost = matches!(case.nginx, Nginx::Unknown | Nginx::Astray);
            prop_assert_eq!(recovers, lost && case.recover_in <= 0);
        }

        #[test]
        fn it_restarts_only_what_hangs_and_not_too_often(case in cases()) {
            let restarts = matches!(case.decide().0, Action::Restart);
            let due = case.recover_in <= 0 || case.offered > case.handled;
            prop_assert_eq!(restarts, case.nginx == Nginx::Hung && due);
        }

        #[test]
        fn servers_are_marked_only_where_nginx_is_well_and_not_too_often(case in cases()) {
            if matches!(case.decide().0, Action::Mark) {
                prop_assert!(case.may_mark());
            }
        }

        #[test]
        fn an_offer_is_applied_once_and_only_the_newest(case in cases()) {
            if let Action::Apply(offer) = case.decide().0 {
                prop_assert_eq!(offer.serial, case.offered);
                prop_assert!(case.offered > case.handled && !case.is_held());
                let after = Case { handled: offer.serial, ..case };
                prop_assert!(!matches!(after.decide().0, Action::Apply(_)));
            }
        }
    }

    #[test]
    fn an_offer_may_cure_an_nginx_that_does_not_come_up() {
        let case = Case {
            offered: 4,
            nginx: Nginx::Astray,
            recover_in: 30,
            ..Case::quiet()
        };
        assert!(matches!(case.decide().0, Action::Apply(_)));
    }

    #[test]
    fn an_offer_waits_for_the_room_between_two_reloads() {
        let case = Case {
            offered: 4,
            reload_in: Some(2),
            ..Case::quiet()
        };
        let (action, now) = case.decide();
        assert!(matches!(action, Action::Wait(until) if until == now + Duration::from_secs(2)));
    }

    #[test]
    fn a_quiet_agent_waits_for_the_next_look() {
        let (action, now) = Case::quiet().decide();
        assert!(matches!(action, Action::Wait(until) if until == now + Duration::from_secs(5)));
    }
}
