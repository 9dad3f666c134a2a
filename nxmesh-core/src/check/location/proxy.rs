//! What passing requests has to be in itself.

use super::{Found, has_pattern, has_variable};
use crate::model::{
    Buffers, CookieRewrites, Forwarded, HttpVersion, Location, Proxy, Redirects, RequestHeader,
    RequestHeaderValue, Retry, Rewrite, Share, Split, SplitKey, UpstreamScheme, UpstreamTls,
    value::SizeBytes,
};

pub(super) fn check(at: &str, proxy: &Proxy, location: &Location, found: &mut Found) {
    scheme(at, proxy.scheme, proxy.tls.as_deref(), found);
    if proxy.websocket && proxy.http_version != HttpVersion::Http11 {
        found.say(
            format!("{at}/http_version"),
            "websocket needs HTTP/1.1, for example http_version: HTTP/1.1",
        );
    }
    rewrite(at, proxy, location, found);
    if let Some(split) = &proxy.split {
        self::split(&format!("{at}/split"), split, found);
    }
    forwarded(at, proxy.forwarded.as_deref(), found);
    request_headers(at, &proxy.request_headers, found);
    if let Some(buffers) = &proxy.buffers {
        self::buffers(&format!("{at}/buffers"), buffers, found);
    }
    if let Some(retry) = &proxy.retry {
        self::retry(&format!("{at}/retry"), retry, found);
    }
    if let Redirects::Rewrite(rewrites) = &proxy.redirects
        && !(1..=50).contains(&rewrites.len())
    {
        found.say(
            format!("{at}/redirects/rewrite"),
            "1 to 50 redirects are rewritten, for example [{ from: /v1/, to: /api/ }]",
        );
    }
    if let Some(cookies) = &proxy.cookies {
        self::cookies(&format!("{at}/cookies"), cookies, found);
    }
    for (field, count) in [
        ("hide_headers", proxy.hide_headers.len()),
        ("pass_headers", proxy.pass_headers.len()),
        ("ignore_headers", proxy.ignore_headers.len()),
    ] {
        if count > 100 {
            found.say(format!("{at}/{field}"), "there are at most 100 headers");
        }
    }
}

pub(super) fn forwarded(at: &str, forwarded: Option<&Forwarded>, found: &mut Found) {
    if forwarded.is_some_and(|it| it.trusted.len() > 1000) {
        found.say(
            format!("{at}/forwarded/trusted"),
            "there are at most 1000 networks",
        );
    }
}

/// Says something about TLS where there is none.
pub(in crate::check) fn scheme(
    at: &str,
    scheme: UpstreamScheme,
    tls: Option<&UpstreamTls>,
    found: &mut Found,
) {
    let Some(tls) = tls else { return };
    let at = format!("{at}/tls");
    if scheme == UpstreamScheme::Http {
        found.say(
            &*at,
            "tls needs scheme: https, for example { upstream: shop, scheme: https, tls: { server_name: shop.internal } }",
        );
    }
    self::tls(&at, tls, found);
}

/// A path prefix is replaced where the path of the location is one.
fn rewrite(at: &str, proxy: &Proxy, location: &Location, found: &mut Found) {
    let Some(Rewrite::Prefix(prefix)) = proxy.rewrite.as_deref() else {
        return;
    };
    let at = format!("{at}/rewrite/prefix");
    if has_pattern(&location.path) {
        found.say(
            &*at,
            "a location with a pattern has no prefix to replace, for example rewrite: { pattern: ^/old/(.*)$, to: \"/new/{1}\" }",
        );
    }
    // There nginx encodes the path itself.
    let decoded = proxy.split.is_some() || !location.routes.is_empty();
    if decoded && prefix.as_str().contains('%') {
        found.say(
            at,
            "a prefix beside split or routes has no %XX, for example /v1/",
        );
    }
}

fn split(at: &str, split: &Split, found: &mut Found) {
    shares(at, &split.shares, found);
    if matches!(&split.key, SplitKey::Header(name) if !has_variable(name)) {
        found.say(
            format!("{at}/key"),
            "a header to split by has letters, digits and '-' only, for example { header: X-User }",
        );
    }
}

pub(in crate::check) fn shares(at: &str, shares: &[Share], found: &mut Found) {
    if !(1..=20).contains(&shares.len()) {
        found.say(
            format!("{at}/shares"),
            "there are 1 to 20 shares, for example [{ upstream: canary, percent: 5 }]",
        );
    }
    let together: u32 = shares
        .iter()
        .map(|share| u32::from(share.percent.hundredths()))
        .sum();
    if together > 10_000 {
        found.say(
            format!("{at}/shares"),
            "the shares are at most 100% together; what is left stays with the upstream",
        );
    }
    for (index, share) in shares.iter().enumerate() {
        let before = &shares[..index];
        if before.iter().any(|other| other.upstream == share.upstream) {
            found.say(
                format!("{at}/shares/{index}/upstream"),
                "an upstream has one share",
            );
        }
    }
}

pub(in crate::check) fn request_headers(at: &str, headers: &[RequestHeader], found: &mut Found) {
    for (index, header) in headers.iter().enumerate() {
        if matches!(header.value, RequestHeaderValue::Append(_)) && !has_variable(&header.name) {
            found.say(
                format!("{at}/request_headers/{index}/name"),
                "a header to append to has letters, digits and '-' only, for example { name: X-Via, append: edge }",
            );
        }
    }
}

pub(in crate::check) fn tls(at: &str, tls: &UpstreamTls, found: &mut Found) {
    if let Some(depth) = tls.depth {
        if tls.verify.is_none() {
            found.say(
                format!("{at}/depth"),
                "depth needs verify, for example verify: { file: /etc/ssl/certs/ca-certificates.crt }",
            );
        }
        if !(1..=10).contains(&depth) {
            found.say(format!("{at}/depth"), "depth is 1 to 10, for example 2");
        }
    }
    let repeated = |index: usize| tls.protocols[..index].contains(&tls.protocols[index]);
    if let Some(index) = (0..tls.protocols.len()).find(|index| repeated(*index)) {
        found.say(
            format!("{at}/protocols/{index}"),
            "a protocol is written once",
        );
    }
}

/// What nginx itself wants of the sizes (`src/http/ngx_http_upstream.c`).
fn buffers(at: &str, buffers: &Buffers, found: &mut Found) {
    let mut say = |field: &str, rule| found.say(format!("{at}/{field}"), rule);
    if !(2..=1024).contains(&buffers.count) {
        return say("count", "there are 2 to 1024 buffers, for example 8");
    }
    let whole = |size: SizeBytes| (1 << 10..=1 << 20).contains(&size.bytes());
    for (field, size) in [("size", buffers.size), ("head", buffers.head)] {
        if !whole(size) {
            return say(field, "a buffer is 1k to 1m, for example 16k");
        }
    }
    if buffers.all_but_one() < buffers.largest() {
        return say(
            "count",
            "all buffers but one hold as much as head, for example { count: 8, size: 16k, head: 32k }",
        );
    }
    let busy = buffers.busy_bytes();
    if !(buffers.largest()..=buffers.all_but_one()).contains(&busy) {
        say(
            "busy",
            "busy is at least the larger of size and head, and at most all buffers but one, for example { count: 8, size: 4k, busy: 8k }",
        );
    }
    let least = buffers.largest();
    if buffers
        .max_file
        .is_some_and(|size| (1..least).contains(&size.bytes()))
    {
        say(
            "max_file",
            "max_file is 0, or at least the larger of size and head, for example 100m",
        );
    }
    if buffers.file_write.is_some_and(|size| size.bytes() < least) {
        say(
            "file_write",
            "file_write is at least the larger of size and head, for example 16k",
        );
    }
}

pub(super) fn retry(at: &str, retry: &Retry, found: &mut Found) {
    if retry.tries.is_some_and(|tries| !(1..=100).contains(&tries)) {
        found.say(format!("{at}/tries"), "tries is 1 to 100, for example 2");
    }
    let on = retry.on.as_deref().unwrap_or_default();
    if let Some(index) = (0..on.len()).find(|index| on[..*index].contains(&on[*index])) {
        found.say(format!("{at}/on/{index}"), "a condition is written once");
    }
    if retry.on.as_deref() == Some(&[]) && retry.non_idempotent {
        found.say(
            format!("{at}/non_idempotent"),
            "non_idempotent needs a condition, for example { on: [error, timeout], non_idempotent: true }",
        );
    }
}

fn cookies(at: &str, cookies: &CookieRewrites, found: &mut Found) {
    for (field, count) in [
        ("domains", cookies.domains.len()),
        ("paths", cookies.paths.len()),
        ("flags", cookies.flags.len()),
    ] {
        if count > 50 {
            found.say(format!("{at}/{field}"), "there are at most 50");
        }
    }
    for (index, flags) in cookies.flags.iter().enumerate() {
        if !flags.secure && !flags.http_only && flags.same_site.is_none() {
            found.say(
                format!("{at}/flags/{index}"),
                "flags set something, for example { cookie: session, secure: true, same_site: lax }",
            );
        }
    }
}
