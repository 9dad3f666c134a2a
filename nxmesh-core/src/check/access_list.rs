//! What an access list has to be in itself.

use super::Found;
use crate::model::AccessListSpec;

pub(super) fn check(spec: &AccessListSpec, found: &mut Found) {
    if !(1..=10_000).contains(&spec.rules.len()) {
        found.say(
            "/spec/rules",
            "an access list has 1 to 10000 rules, for example { allow: 10.0.0.0/8 }",
        );
    }
}
