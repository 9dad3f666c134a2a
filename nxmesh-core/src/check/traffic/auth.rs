//! Who has to show who they are.

use std::collections::BTreeSet;

use super::Found;
use crate::model::{
    TrafficSettings,
    traffic::{ApiKeys, BasicAuth, ExternalAuth},
    value::ClientName,
};

pub(super) fn check(at: &str, settings: &TrafficSettings, found: &mut Found) {
    if let Some(ExternalAuth::Service(service)) = settings.external_auth.as_deref()
        && service.copy_headers.len() > 20
    {
        found.say(
            format!("{at}/external_auth/service/copy_headers"),
            "there are at most 20 headers to copy",
        );
    }
    if let Some(BasicAuth::Users(users)) = settings.basic_auth.as_deref() {
        let names = users.list.iter().map(|user| &user.name);
        clients(&format!("{at}/basic_auth/users/list"), names, found);
    }
    if let Some(ApiKeys::Required(holders)) = settings.api_keys.as_deref() {
        let at = format!("{at}/api_keys/required");
        let names = holders.list.iter().map(|holder| &holder.name);
        clients(&format!("{at}/list"), names, found);
        if holders.status.is_some_and(|status| status.get() < 400) {
            found.say(
                format!("{at}/status"),
                "the status of refused requests is 400 to 599, for example 401",
            );
        }
        let mut keys = BTreeSet::new();
        for (index, holder) in holders.list.iter().enumerate() {
            if !keys.insert(holder.secret.expose()) {
                found.say(
                    format!("{at}/list/{index}/secret"),
                    "a key belongs to one program",
                );
            }
        }
    }
}

fn clients<'a>(at: &str, names: impl ExactSizeIterator<Item = &'a ClientName>, found: &mut Found) {
    if !(1..=1000).contains(&names.len()) {
        found.say(at, "there are 1 to 1000 clients in one place");
    }
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            found.say(format!("{at}/{index}/name"), "a client is written once");
        }
    }
}
