//! What traffic settings have to be in themselves.

use super::Found;
use crate::model::TrafficSettings;

/// Checks the settings that stand at `at`.
pub(super) fn check(at: &str, settings: &TrafficSettings, found: &mut Found) {
    if settings.policies.len() > 20 {
        found.say(
            format!("{at}/policies"),
            "there are at most 20 policies in one place",
        );
    }
    if settings.snippets.len() > 20 {
        found.say(
            format!("{at}/snippets"),
            "there are at most 20 snippets in one place",
        );
    }
}

/// Checks a policy.
pub(super) fn policy(settings: &TrafficSettings, found: &mut Found) {
    if !settings.policies.is_empty() {
        found.say(
            "/spec/policies",
            "a policy names no other policies; attach both to the virtual host",
        );
    }
    if !settings.snippets.is_empty() {
        found.say(
            "/spec/snippets",
            "a policy names no snippets; attach them to the virtual host or location",
        );
    }
    check("/spec", settings, found);
}
