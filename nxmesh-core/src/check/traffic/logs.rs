//! What is written down.

use super::Found;
use crate::model::{
    TrafficSettings,
    traffic::{AccessLog, LogEscape, LogSkip, LogStyle},
};

pub(in crate::check) const ONE_TARGET: &str =
    "a log goes to a file or to syslog, for example { file: /var/log/nginx/shop.log }";

pub(super) fn check(at: &str, settings: &TrafficSettings, found: &mut Found) {
    if let Some(AccessLog::To(target)) = settings.access_log.as_deref() {
        let at = format!("{at}/access_log/to");
        let custom = matches!(target.format, LogStyle::Custom(_));
        if target.escape != LogEscape::Default && !custom {
            found.say(
                format!("{at}/escape"),
                "escape is for a custom format, for example format: { custom: \"{request}\" }",
            );
        }
        if target.file.is_some() == target.syslog.is_some() {
            found.say(&*at, ONE_TARGET);
        }
        skip(&format!("{at}/skip"), &target.skip, found);
    }
    if let Some(log) = settings.error_log.as_deref()
        && log.file.is_some() == log.syslog.is_some()
    {
        found.say(format!("{at}/error_log"), ONE_TARGET);
    }
}

fn skip(at: &str, skip: &LogSkip, found: &mut Found) {
    if skip.statuses.len() > 20 {
        found.say(format!("{at}/statuses"), "there are at most 20 statuses");
    }
    for (field, patterns) in [("paths", &skip.paths), ("user_agents", &skip.user_agents)] {
        if patterns.len() > 100 {
            found.say(format!("{at}/{field}"), "there are at most 100 patterns");
        }
    }
}
