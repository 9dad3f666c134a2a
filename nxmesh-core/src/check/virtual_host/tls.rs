//! What TLS towards clients has to be.

use super::Found;
use crate::model::{
    Listen, Tls, TlsProxy,
    value::{RedirectCode, SizeBytes},
};

pub(super) fn check(tls: &Tls, listens: &[Listen], found: &mut Found) {
    if !listens.iter().any(|listen| listen.tls) {
        found.say(
            "/spec/tls",
            "spec.tls needs a port with tls, for example listen: [{ port: 443, tls: true }]",
        );
    }
    if tls.redirect_http && listens.iter().all(|listen| listen.tls) {
        found.say(
            "/spec/tls/redirect_http",
            "redirect_http needs a port without tls, for example listen: [{ port: 80 }, { port: 443, tls: true }]",
        );
    }
    if tls.more_certificates.len() > 3 {
        found.say(
            "/spec/tls/more_certificates",
            "there are at most 3 more certificates, one for each type of key",
        );
    }
    if !tls.redirect_http {
        let codes = (tls.redirect_code, tls.redirect_code_other_methods);
        redirect_codes("/spec/tls", codes, found);
    }
    let buffer = tls.buffer_size.map(SizeBytes::bytes);
    if buffer.is_some_and(|size| !(1 << 10..=64 << 10).contains(&size)) {
        found.say(
            "/spec/tls/buffer_size",
            "a buffer for TLS is 1k to 64k, for example 4k",
        );
    }
    let timeout = tls.session.as_ref().and_then(|it| it.timeout);
    found.seconds("/spec/tls/session/timeout", timeout);
    let cache = tls.session.as_ref().and_then(|it| it.cache);
    if cache.is_some_and(|size| !(32 << 10..=1 << 30).contains(&size.bytes())) {
        found.say(
            "/spec/tls/session/cache",
            "the memory for sessions is 32k to 1g, for example 10m",
        );
    }
    if let Some(client) = &tls.client {
        if client.depth.is_some_and(|depth| !(1..=10).contains(&depth)) {
            found.say("/spec/tls/client/depth", "a depth is 1 to 10");
        }
        if client.subjects.len() > 100 {
            found.say(
                "/spec/tls/client/subjects",
                "there are at most 100 patterns of subjects",
            );
        }
    }
}

/// What someone in front of nginx who ends TLS has to be.
pub(super) fn behind(proxy: &TlsProxy, found: &mut Found) {
    if !proxy.redirect_http {
        let codes = (proxy.redirect_code, proxy.redirect_code_other_methods);
        redirect_codes("/spec/behind_tls_proxy", codes, found);
    }
}

/// Codes where nothing is redirected.
fn redirect_codes(
    at: &str,
    (code, of_other_methods): (Option<RedirectCode>, Option<RedirectCode>),
    found: &mut Found,
) {
    if code.is_some() {
        found.say(
            format!("{at}/redirect_code"),
            "redirect_code goes with redirect_http: true",
        );
    }
    if of_other_methods.is_some() {
        found.say(
            format!("{at}/redirect_code_other_methods"),
            "redirect_code_other_methods goes with redirect_http: true",
        );
    }
}
