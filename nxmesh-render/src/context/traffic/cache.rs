//! Keeping responses of upstreams.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{
        traffic::{AuthCache, Cache, CacheRules, RequestPart, StaleCase},
        value::Time,
    },
};

use super::{Preamble, internal::KeptRecord};
use crate::{
    context::Scene,
    handlebars::record::{Item, record},
    token::{Word, quote},
};

record! {
    /// A cache outside of all servers: its folder, and the memory for its keys.
    CacheZoneRecord<'a> {
        /// Of FastCGI servers; else of upstreams.
        fastcgi: bool,
        path: Word<'a>,
        /// The parameter of its name and size.
        zone: Word<'a>,
        max_size: Word<'a>,
        inactive: Word<'a>,
        name: Word<'a>,
    }
}

record! {
    /// What is kept, and how long.
    CacheRecord<'a> {
        /// The cache, or `off`.
        zone: Word<'a>,
        /// Whether there is one.
        on: bool,
        key: Word<'a>,
        valid: Vec<ValidityRecord<'a>>,
        methods: Vec<Item<'a>>,
        use_stale: Vec<Item<'a>>,
        /// `on` or `off`, as the next two.
        lock: Word<'a>,
        lock_timeout: Option<Word<'a>>,
        lock_age: Option<Word<'a>>,
        revalidate: Word<'a>,
        background_update: Word<'a>,
        min_uses: Option<Word<'a>>,
        bypass: Vec<Item<'a>>,
        no_cache: Vec<Item<'a>>,
        ignore_headers: Vec<Item<'a>>,
    }
}

record! {
    /// How long responses with some statuses are kept.
    ValidityRecord<'a> {
        statuses: Vec<Item<'a>>,
        time: Word<'a>,
    }
}

const DEFAULT_MAX_SIZE: &str = "1g";
const DEFAULT_ZONE_SIZE: &str = "10m";
const DECISIONS_MAX_SIZE: &str = "64m";
const DEFAULT_INACTIVE: &str = "600s";

/// Whose responses are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    OfUpstreams,
    OfFastCgi,
}

/// The record of `cache`, which counts in place of what is said further out, `over`:
/// that is said anew, as nginx takes it over otherwise. `told` is what a response may depend on
/// beside the request's line: variables that upstreams are told of clients, and the ids of routes.
pub(super) fn record<'a>(
    scene: &Scene<'_>,
    kept: Kept,
    cache: &'a Cache,
    over: Option<&Cache>,
    told: &[String],
    preamble: &mut Preamble<'a>,
) -> Result<CacheRecord<'a>, RenderError> {
    let switch = |on| Word::fixed(if on { "on" } else { "off" });
    let Cache::Rules(rules) = cache else {
        return Ok(CacheRecord {
            zone: switch(false),
            on: false,
            key: switch(false),
            valid: Vec::new(),
            methods: Vec::new(),
            use_stale: Vec::new(),
            lock: switch(false),
            lock_timeout: None,
            lock_age: None,
            revalidate: switch(false),
            background_update: switch(false),
            min_uses: None,
            bypass: Vec::new(),
            no_cache: Vec::new(),
            ignore_headers: Vec::new(),
        });
    };
    if rules.background_update {
        scene.require("background_update", (1, 11, 10))?;
    }
    let said = |is: fn(&CacheRules) -> bool| matches!(over, Some(Cache::Rules(it)) if is(it));
    let or_word = |mut items: Vec<Item<'a>>, is: fn(&CacheRules) -> bool, word| {
        if items.is_empty() && said(is) {
            items.push(Item(Word::fixed(word)));
        }
        items
    };
    // nginx asks FastCGI servers with HEAD where a client does, and would keep an
    // answer without a body for everybody.
    let key = match kept {
        // Routes and splits choose among upstreams.
        Kept::OfUpstreams => format!("$proxy_host|{}", key(rules, told)),
        Kept::OfFastCgi => format!("$request_method|{}", key(rules, told)),
    };
    let valid = rules.valid.iter().map(|valid| ValidityRecord {
        statuses: super::items(
            valid
                .statuses
                .iter()
                .map(|it| Word::number(it.get().into())),
        ),
        time: Word::own(valid.time),
    });
    let ignored = rules.ignore_headers.iter();
    let ignored: Result<Vec<Word<'a>>, _> = ignored.map(|it| quote(it.as_str())).collect();
    let ignored = ignored.map_err(|error| scene.unrenderable(error))?;
    let mut valid: Vec<_> = valid.collect();
    if valid.is_empty() && said(|it| !it.valid.is_empty()) {
        valid.push(ValidityRecord {
            statuses: Vec::new(),
            time: Word::fixed("0s"),
        });
    }
    let stale = rules.use_stale.iter();
    let stale = stale.filter(|it| {
        let told = matches!(it, StaleCase::Http502 | StaleCase::Http504);
        kept == Kept::OfUpstreams || !told
    });
    let stale = super::items(stale.map(|it| Word::fixed(it.as_str())));
    let methods = super::items(rules.methods.iter().map(|it| Word::own(it.as_str())));
    let variables = |more: &[RequestPart]| {
        let parts = rules.bypass.iter().chain(more);
        super::items(parts.map(|part| Word::made_variable(variable(part))))
    };
    let (mut bypass, mut no_cache) = (variables(&rules.renew), variables(&rules.not_kept));
    if keeps_posts(rules) {
        // A body that had to be put into a file is in no key.
        for reasons in [&mut bypass, &mut no_cache] {
            reasons.push(Item(Word::made_variable("request_body_file")));
        }
    }
    let wait = |time: Option<Time>, is: fn(&CacheRules) -> bool| {
        let default = || said(is).then(|| Word::fixed("5s"));
        time.map(Word::own).or_else(default)
    };
    Ok(CacheRecord {
        zone: zone(scene, kept, rules, &key, preamble)?,
        on: true,
        valid,
        methods: or_word(methods, |it| !it.methods.is_empty(), "GET"),
        use_stale: or_word(stale, |it| !it.use_stale.is_empty(), "off"),
        lock: switch(rules.lock),
        lock_timeout: wait(rules.lock_timeout, |it| it.lock_timeout.is_some()),
        lock_age: wait(rules.lock_age, |it| it.lock_age.is_some()),
        revalidate: switch(rules.revalidate),
        background_update: switch(rules.background_update),
        min_uses: rules
            .min_uses
            .map(|it| Word::number(it.into()))
            .or_else(|| said(|it| it.min_uses.is_some()).then(|| Word::number(1))),
        bypass: or_word(
            bypass,
            |it| !it.bypass.is_empty() || !it.renew.is_empty() || keeps_posts(it),
            "0",
        ),
        no_cache: or_word(
            no_cache,
            |it| !it.bypass.is_empty() || !it.not_kept.is_empty() || keeps_posts(it),
            "0",
        ),
        // There is no word for none; of this header nothing depends on what is kept.
        ignore_headers: or_word(
            super::items(ignored.into_iter()),
            |it| !it.ignore_headers.is_empty(),
            "X-Accel-Charset",
        ),
        key: Word::expression(key),
    })
}

/// Where decisions about requests are kept; `asked` names who is asked and how, so that
/// none counts for another question.
pub(super) fn decisions<'a>(
    scene: &Scene<'_>,
    asked: &str,
    kept: &AuthCache,
    preamble: &mut Preamble<'a>,
) -> Result<KeptRecord<'a>, RenderError> {
    // All that the service is told and decides by, or one client would be let in by
    // what was decided about another.
    let by = kept
        .by
        .iter()
        .map(|name| format!("|${{http_{}}}", name.variable()));
    let key = format!(
        "$request_method|$scheme|$http_host|$request_uri|$remote_addr|$http_x_forwarded_for|$http_authorization|$http_cookie{}",
        by.collect::<String>()
    );
    let time = kept.time.to_string();
    let of = [asked, &key, &time];
    let sizes = (DECISIONS_MAX_SIZE, "1m", &*time);
    let zone = named_zone(scene, Kept::OfUpstreams, &of, sizes, preamble)?;
    Ok(KeptRecord {
        zone,
        key: Word::expression(key),
        time: Word::own(time),
    })
}

/// A cache is named after all that it is: what is kept under one key must not
/// be found under another.
fn zone<'a>(
    scene: &Scene<'_>,
    kept: Kept,
    rules: &CacheRules,
    key: &str,
    preamble: &mut Preamble<'a>,
) -> Result<Word<'a>, RenderError> {
    let text = |value: Option<String>, default: &str| value.unwrap_or_else(|| default.to_owned());
    let max_size = text(rules.max_size.map(|it| it.to_string()), DEFAULT_MAX_SIZE);
    let size = text(rules.zone_size.map(|it| it.to_string()), DEFAULT_ZONE_SIZE);
    let inactive = text(rules.inactive.map(|it| it.to_string()), DEFAULT_INACTIVE);
    let sizes = (&*max_size, &*size, &*inactive);
    named_zone(scene, kept, &[key], sizes, preamble)
}

/// The cache that only what is of these parts has.
fn named_zone<'a>(
    scene: &Scene<'_>,
    kept: Kept,
    of: &[&str],
    (max_size, size, inactive): (&str, &str, &str),
    preamble: &mut Preamble<'a>,
) -> Result<Word<'a>, RenderError> {
    let sizes = [max_size, size, inactive];
    let kind = match kept {
        Kept::OfUpstreams => "cache",
        Kept::OfFastCgi => "fastcgi",
    };
    let id = preamble.id([kind].iter().chain(of).chain(&sizes).copied());
    let name = format!("nxmesh_cache_{id}");
    let word = Word::own(&name);
    if !preamble.caches.iter().any(|it| it.name == word) {
        let folder = scene.settings.cache_dir.join(&name);
        let folder = folder
            .to_str()
            .ok_or_else(|| scene.unrenderable("the path of the cache folder is not UTF-8"))?;
        // nginx expands no variables here.
        let path = quote(folder).map(Word::into_owned);
        preamble.caches.push(CacheZoneRecord {
            fastcgi: kept == Kept::OfFastCgi,
            path: path.map_err(|error| scene.unrenderable(error))?,
            zone: Word::expression(format!("keys_zone={name}:{size}")),
            max_size: Word::own(max_size),
            inactive: Word::own(inactive),
            name: word.clone(),
        });
    }
    Ok(word)
}

/// What tells responses apart.
fn key(rules: &CacheRules, told: &[String]) -> String {
    let mut key = "$scheme://$host$request_uri".to_owned();
    for part in &rules.key {
        key += &format!("|${{{}}}", variable(part));
    }
    for variable in told {
        key += &format!("|{variable}");
    }
    if keeps_posts(rules) {
        key += "|$request_method|$request_body";
    }
    key
}

fn keeps_posts(rules: &CacheRules) -> bool {
    rules.methods.iter().any(|it| it.as_str() == "POST")
}

/// The name of nginx's variable, without `$`.
pub(crate) fn variable(part: &RequestPart) -> String {
    match part {
        RequestPart::Header(name) => format!("http_{}", name.variable()),
        RequestPart::Cookie(name) => format!("cookie_{name}"),
        RequestPart::Query(name) => format!("arg_{name}"),
    }
}
