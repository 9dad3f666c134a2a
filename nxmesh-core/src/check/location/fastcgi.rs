//! What passing requests to a FastCGI or gRPC server has to be in itself.

use std::collections::BTreeSet;

use super::{Found, proxy};
use crate::model::{FastCgi, Grpc, RetryOn};

pub(super) fn check(at: &str, fastcgi: &FastCgi, found: &mut Found) {
    if let Some(pattern) = &fastcgi.split_path_info
        && pattern.captures() != 2
    {
        found.say(
            format!("{at}/split_path_info"),
            "the pattern has two captures, of the script and of what follows, for example ^(.+?\\.php)(/.*)$",
        );
    }
    if fastcgi.params.len() > 100 {
        found.say(format!("{at}/params"), "there are at most 100 parameters");
    }
    let mut names = BTreeSet::new();
    for (index, param) in fastcgi.params.iter().enumerate() {
        if !names.insert(&param.name) {
            found.say(
                format!("{at}/params/{index}/name"),
                "a parameter is written once",
            );
        }
    }
    if let Some(retry) = &fastcgi.retry {
        let at = format!("{at}/retry");
        proxy::retry(&at, retry, found);
        let unknown = |on: &RetryOn| matches!(on, RetryOn::Http502 | RetryOn::Http504);
        let on = retry.on.as_deref().unwrap_or_default();
        if let Some(index) = on.iter().position(unknown) {
            found.say(
                format!("{at}/on/{index}"),
                "nginx does not ask another FastCGI server on 502 and 504, for example on: [error, timeout, http_503]",
            );
        }
    }
    hidden(at, fastcgi.hide_headers.len(), found);
}

pub(super) fn grpc(at: &str, grpc: &Grpc, found: &mut Found) {
    proxy::scheme(at, grpc.scheme, grpc.tls.as_deref(), found);
    proxy::forwarded(at, grpc.forwarded.as_deref(), found);
    proxy::request_headers(at, &grpc.request_headers, found);
    if let Some(size) = grpc.buffer
        && !(1 << 10..=1 << 20).contains(&size.bytes())
    {
        found.say(
            format!("{at}/buffer"),
            "a buffer is 1k to 1m, for example 16k",
        );
    }
    if let Some(retry) = &grpc.retry {
        proxy::retry(&format!("{at}/retry"), retry, found);
    }
    hidden(at, grpc.hide_headers.len(), found);
}

fn hidden(at: &str, headers: usize, found: &mut Found) {
    if headers > 100 {
        found.say(
            format!("{at}/hide_headers"),
            "there are at most 100 headers",
        );
    }
}
