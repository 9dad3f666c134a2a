//! Which pages of other origins may read responses.

use nxmesh_core::{contract::renderer::RenderError, model::traffic::Cors};

use super::Preamble;
use crate::{
    context::Scene,
    handlebars::record::record,
    token::{QuoteError, Word, quote, quote_expanding},
};

record! {
    /// What is told to pages of other origins. nginx leaves out a header whose
    /// value is empty, as these are where they do not belong.
    CorsRecord<'a> {
        origin: Word<'a>,
        /// Whether the answer differs by origin.
        varies: bool,
        credentials: Option<Word<'a>>,
        expose: Option<Word<'a>>,
        /// The next three are told in answers to preflight requests.
        methods: Option<Word<'a>>,
        headers: Option<Word<'a>>,
        max_age: Option<Word<'a>>,
    }
}

pub(crate) fn record<'a>(
    scene: &Scene<'_>,
    cors: &'a Cors,
    preamble: &mut Preamble<'a>,
) -> Result<CorsRecord<'a>, RenderError> {
    let quoting = |error: QuoteError| scene.unrenderable(error);
    let list = |names: Vec<&str>| -> Result<Option<Word<'a>>, RenderError> {
        let text = names.join(", ");
        let word = (!text.is_empty()).then(|| quote_expanding(&text).map(Word::into_owned));
        word.transpose().map_err(quoting)
    };
    let methods = list(cors.methods.iter().map(|it| it.as_str()).collect())?;
    let headers = list(cors.headers.iter().map(|it| it.as_str()).collect())?;
    let expose = list(cors.expose.iter().map(|it| it.as_str()).collect())?;
    let max_age = cors.max_age.map(|time| Word::number(time.whole_seconds()));
    let origin = origin(scene, cors, preamble)?;
    let preflight = preflight(scene, cors, preamble)?;
    let mut only = |test: &str, word: Word<'a>| when(preamble, test, word);
    Ok(CorsRecord {
        varies: origin.is_some(),
        credentials: match &origin {
            Some(origin) if cors.credentials => Some(only(origin, Word::fixed("true"))),
            _ => None,
        },
        expose: match (&origin, expose) {
            (Some(origin), Some(expose)) => Some(only(origin, expose)),
            (_, expose) => expose,
        },
        methods: methods.map(|methods| only(&preflight, methods)),
        headers: headers.map(|headers| only(&preflight, headers)),
        max_age: max_age.map(|age| only(&preflight, age)),
        origin: origin.map_or(Word::fixed("*"), Word::made_variable),
    })
}

/// The variable that holds the origin if it is allowed, else nothing; `None` if
/// any is.
fn origin<'a>(
    scene: &Scene<'_>,
    cors: &'a Cors,
    preamble: &mut Preamble<'a>,
) -> Result<Option<String>, RenderError> {
    if cors.origins.iter().any(|origin| origin.as_str() == "*") {
        return Ok(None);
    }
    let entries = cors.origins.iter().map(|origin| {
        let text = origin.as_str().replace('.', "\\.");
        // A host's first label, as in the names of certificates.
        let text = text.replace('*', "[a-z0-9-]+");
        let key = quote(&format!("~^{text}$")).map(Word::into_owned)?;
        Ok((key, Word::variable("http_origin")))
    });
    let entries = entries
        .collect::<Result<_, QuoteError>>()
        .map_err(|error| scene.unrenderable(error))?;
    let source = Word::variable("http_origin");
    Ok(Some(preamble.map(source, entries, Word::empty())))
}

/// The variable that is not empty for a preflight request of an allowed origin.
pub(super) fn preflight<'a>(
    scene: &Scene<'_>,
    cors: &'a Cors,
    preamble: &mut Preamble<'a>,
) -> Result<String, RenderError> {
    let allowed = match origin(scene, cors, preamble)? {
        Some(name) => Word::made_variable(name),
        None => Word::variable("http_origin"),
    };
    let asks = vec![(Word::fixed("~^OPTIONS:."), allowed)];
    let source = Word::fixed("\"$request_method:$http_access_control_request_method\"");
    Ok(preamble.map(source, asks, Word::empty()))
}

/// `word` where the variable `test` is not empty, else nothing.
fn when<'a>(preamble: &mut Preamble<'a>, test: &str, word: Word<'a>) -> Word<'a> {
    let nothing = vec![(Word::empty(), Word::empty())];
    let name = preamble.map(Word::made_variable(test), nothing, word);
    Word::made_variable(name)
}
