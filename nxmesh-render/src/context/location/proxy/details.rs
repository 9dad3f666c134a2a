//! What few locations say about passing requests.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        CookieFlags, CookieRewrites, Location, Proxy, Redirects, Retry, RetryOn, SameSite,
        traffic::Cache, value::HeaderName,
    },
};

use super::{
    Place,
    rewrite::{self, RewriteRecord},
};
use crate::{
    context::{Scene, maps::on_or_off},
    handlebars::record::{Item, record},
    token::{QuoteError, Word, quote, quote_expanding},
};

record! {
    /// What few locations say about passing requests.
    DetailsRecord<'a> {
        rewrite: Option<RewriteRecord<'a>>,
        socket_keepalive: bool,
        /// `on` or `off`.
        request_buffering: Option<Word<'a>>,
        buffers: Option<BuffersRecord<'a>>,
        retry: Option<RetryRecord<'a>>,
        keeps_redirects: bool,
        redirects: Vec<ChangeRecord<'a>>,
        cookie_domains: Vec<ChangeRecord<'a>>,
        cookie_paths: Vec<ChangeRecord<'a>>,
        cookie_flags: Vec<FlagsRecord<'a>>,
        hide_headers: Vec<Item<'a>>,
        pass_headers: Vec<Item<'a>>,
        ignore_headers: Vec<Item<'a>>,
    }
}

record! {
    /// Memory and files of a response.
    BuffersRecord<'a> {
        count: Word<'a>,
        size: Word<'a>,
        head: Word<'a>,
        busy: Word<'a>,
        max_file: Option<Word<'a>>,
        file_write: Option<Word<'a>>,
    }
}

record! {
    /// When another server is asked.
    RetryRecord<'a> {
        on: Vec<Item<'a>>,
        tries: Option<Word<'a>>,
        timeout: Option<Word<'a>>,
    }
}

record! {
    /// What is replaced by what.
    ChangeRecord<'a> {
        from: Word<'a>,
        to: Word<'a>,
    }
}

record! {
    /// Attributes of cookies.
    FlagsRecord<'a> {
        /// The cookie, or `~` for all.
        cookie: Word<'a>,
        secure: bool,
        http_only: bool,
        /// `strict`, `lax` or `none`.
        same_site: Option<Word<'a>>,
    }
}

/// `None` if nothing of this is said.
pub(super) fn record<'a>(
    scene: &Scene<'_>,
    location: &Location,
    proxy: &'a Proxy,
    place: &Place<'a, '_>,
) -> Result<Option<Box<DetailsRecord<'a>>>, RenderError> {
    let rewrites = proxy.rewrite.is_some() && rewrite::prefix(scene, location, proxy).is_none();
    let nothing = !rewrites
        && !proxy.socket_keepalive
        && proxy.request_buffering.is_none()
        && proxy.buffers.is_none()
        && proxy.retry.is_none()
        && proxy.redirects == Redirects::Default
        && proxy.cookies.is_none()
        && proxy.hide_headers.is_empty()
        && proxy.pass_headers.is_empty()
        && proxy.ignore_headers.is_empty();
    if nothing {
        return Ok(None);
    }
    if proxy.socket_keepalive {
        scene.require("socket_keepalive", (1, 15, 6))?;
    }
    let quoting = |error: QuoteError| scene.unrenderable(error);
    let mut record = DetailsRecord {
        rewrite: match proxy.rewrite.as_deref() {
            rewrite if rewrites => rewrite::record(location, rewrite).map_err(quoting)?,
            _ => None,
        },
        socket_keepalive: proxy.socket_keepalive,
        request_buffering: proxy.request_buffering.map(on_or_off),
        buffers: proxy.buffers.as_deref().map(|buffers| BuffersRecord {
            count: Word::number(buffers.count.into()),
            size: Word::own(buffers.size),
            head: Word::own(buffers.head),
            busy: Word::number(buffers.busy_bytes()),
            max_file: buffers.max_file.map(Word::own),
            file_write: buffers.file_write.map(Word::own),
        }),
        retry: proxy
            .retry
            .as_deref()
            .map(|retry| self::retry(scene, retry))
            .transpose()?,
        keeps_redirects: proxy.redirects == Redirects::AsSent,
        redirects: match &proxy.redirects {
            Redirects::Rewrite(rewrites) => changes(
                rewrites
                    .iter()
                    .map(|one| (one.from.as_str(), one.to.as_str())),
            )
            .map_err(quoting)?,
            Redirects::Default | Redirects::AsSent => Vec::new(),
        },
        cookie_domains: Vec::new(),
        cookie_paths: Vec::new(),
        cookie_flags: Vec::new(),
        hide_headers: names(&proxy.hide_headers).map_err(quoting)?,
        pass_headers: names(&proxy.pass_headers).map_err(quoting)?,
        ignore_headers: ignored(proxy, place).map_err(quoting)?,
    };
    if let Some(cookies) = &proxy.cookies {
        self::cookies(scene, cookies, &mut record)?;
    }
    Ok(Some(Box::new(record)))
}

/// The headers that nginx does not act on. What the cache of the place says of them
/// stands beside it; that of the host's cache would count no more.
fn ignored<'a>(proxy: &Proxy, place: &Place<'a, '_>) -> Result<Vec<Item<'a>>, QuoteError> {
    if proxy.ignore_headers.is_empty() {
        return Ok(Vec::new());
    }
    let of = |cache: Option<&'a Cache>| match cache {
        Some(Cache::Rules(rules)) => &rules.ignore_headers[..],
        _ => &[],
    };
    let own = place.settings.cache.as_deref();
    let outer = place.host.cache.as_deref().filter(|_| own.is_none());
    let headers = proxy.ignore_headers.iter().map(|header| header.name());
    let among = |list: &[HeaderName], name: &str| {
        list.iter().any(|it| it.as_str().eq_ignore_ascii_case(name))
    };
    let mut items: Vec<_> = headers
        .clone()
        .filter(|name| !among(of(own), name))
        .map(|name| Item(Word::fixed(name)))
        .collect();
    for name in of(outer) {
        if !headers
            .clone()
            .any(|said| said.eq_ignore_ascii_case(name.as_str()))
        {
            items.push(Item(quote(name.as_str())?));
        }
    }
    Ok(items)
}

/// When another server is asked, of `proxy_` and `grpc_` alike.
pub(in crate::context::location) fn retry<'a>(
    scene: &Scene<'_>,
    retry: &Retry,
) -> Result<RetryRecord<'a>, RenderError> {
    const USUAL: &[RetryOn] = &[RetryOn::Error, RetryOn::Timeout];
    let on = retry.on.as_deref().unwrap_or(USUAL);
    if on.contains(&RetryOn::Http429) {
        scene.require("a retry on 429", (1, 11, 13))?;
    }
    let said = retry.on.is_some() || retry.non_idempotent;
    let mut words: Vec<Item<'_>> = Vec::new();
    if said {
        words.extend(on.iter().map(|on| Item(Word::fixed(on.nginx_name()))));
        if retry.non_idempotent {
            words.push(Item(Word::fixed("non_idempotent")));
        }
        if words.is_empty() {
            words.push(Item(Word::fixed("off")));
        }
    }
    Ok(RetryRecord {
        on: words,
        tries: retry.tries.map(|tries| Word::number(tries.into())),
        timeout: retry.timeout.map(Word::own),
    })
}

fn cookies<'a>(
    scene: &Scene<'_>,
    cookies: &'a CookieRewrites,
    record: &mut DetailsRecord<'a>,
) -> Result<(), RenderError> {
    let quoting = |error: QuoteError| scene.unrenderable(error);
    let domains = cookies.domains.iter();
    let domains = domains.map(|one| (one.from.as_str(), one.to.as_str()));
    record.cookie_domains = changes(domains).map_err(quoting)?;
    let paths = cookies.paths.iter();
    let paths = paths.map(|one| (one.from.as_str(), one.to.as_str()));
    record.cookie_paths = changes(paths).map_err(quoting)?;
    if !cookies.flags.is_empty() {
        scene.require("attributes of cookies", (1, 19, 3))?;
    }
    record.cookie_flags = cookies.flags.iter().map(flags).collect();
    Ok(())
}

fn flags(flags: &CookieFlags) -> FlagsRecord<'_> {
    FlagsRecord {
        cookie: match &flags.cookie {
            Some(name) => Word::own(name),
            // A pattern that is in every name.
            None => Word::fixed("~."),
        },
        secure: flags.secure,
        http_only: flags.http_only,
        same_site: flags.same_site.map(|it| {
            Word::fixed(match it {
                SameSite::Strict => "samesite=strict",
                SameSite::Lax => "samesite=lax",
                SameSite::None => "samesite=none",
            })
        }),
    }
}

fn changes<'a>(
    changes: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<ChangeRecord<'a>>, QuoteError> {
    let record = |(from, to)| {
        Ok(ChangeRecord {
            from: quote_expanding(from)?,
            to: quote_expanding(to)?,
        })
    };
    changes.map(record).collect()
}

pub(in crate::context::location) fn names(
    headers: &[HeaderName],
) -> Result<Vec<Item<'_>>, QuoteError> {
    let names = headers.iter().map(|name| quote(name.as_str()).map(Item));
    names.collect()
}
