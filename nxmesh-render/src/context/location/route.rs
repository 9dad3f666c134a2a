//! Which action a request gets.
//!
//! Each condition is a map that gives 1 or 0; the digits of all of them together
//! lead to a location of its own per route. nginx goes there before it looks at
//! limits and access, which stand in each of those: so they count once, and
//! there is no `if`.

use nxmesh_core::{
    contract::renderer::RenderError,
    model::{Condition, Route, TextMatch},
};

use super::pattern;
use crate::{
    context::{Scene, maps, traffic::Preamble},
    token::{Part, QuoteError, Word, quote, quote_parts},
};

/// The variable that holds the name of the location for a request: the one of
/// the first route that is for it, else `otherwise`.
pub(super) fn dispatch<'a>(
    scene: &Scene<'_>,
    routes: &[Route],
    names: &[Word<'a>],
    otherwise: Word<'a>,
    preamble: &mut Preamble<'a>,
) -> Result<Word<'a>, RenderError> {
    let quoting = |error: QuoteError| scene.unrenderable(error);
    let mut all: Vec<String> = Vec::new();
    let mut wanted: Vec<Vec<usize>> = Vec::with_capacity(routes.len());
    for route in routes {
        let variables = conditions(&route.when, preamble).map_err(quoting)?;
        let place = |variable: String| match all.iter().position(|known| *known == variable) {
            Some(place) => place,
            None => {
                all.push(variable);
                all.len() - 1
            }
        };
        wanted.push(variables.into_iter().map(place).collect());
    }
    let rows = wanted.iter().zip(names).map(|(places, name)| {
        let last = places.iter().max().map_or(0, |last| last + 1);
        let digit = |place| {
            if places.contains(&place) { '1' } else { '.' }
        };
        let digits: String = (0..last).map(digit).collect();
        let key = quote(&format!("~^{digits}"))?.into_owned();
        Ok((key, name.clone()))
    });
    let rows = rows.collect::<Result<_, _>>().map_err(quoting)?;
    let source = quote_parts(all.iter().map(|name| Part::Variable(name))).map_err(quoting)?;
    Ok(Word::made_variable(preamble.map(source, rows, otherwise)))
}

/// The variables that all are 1 if a request is as it has to be.
pub(in crate::context) fn conditions<'a>(
    when: &Condition,
    preamble: &mut Preamble<'a>,
) -> Result<Vec<String>, QuoteError> {
    let mut variables = Vec::new();
    if !when.methods.is_empty() {
        let methods = when.methods.iter();
        let rows = methods.map(|method| (Word::own(method), Word::number(1)));
        let rows = rows.collect();
        variables.push(preamble.map(Word::variable("request_method"), rows, Word::number(0)));
    }
    let headers = when.headers.iter();
    let headers = headers.map(|field| (maps::header_variable(field.name.as_str()), &field.text));
    let query = when.query.iter();
    let query = query.map(|field| (format!("arg_{}", field.name), &field.text));
    let cookies = when.cookies.iter();
    let cookies = cookies.map(|field| (format!("cookie_{}", field.name), &field.text));
    let others = when.variables.iter();
    let others = others.map(|field| (field.name.nginx_name().to_owned(), &field.text));
    for (source, text) in headers.chain(query).chain(cookies).chain(others) {
        let (key, found) = match text {
            TextMatch::Present => (Word::empty(), false),
            TextMatch::Absent => (Word::empty(), true),
            TextMatch::Value(value) => (key(&pattern::exactly(value.as_str()))?, true),
            TextMatch::Pattern(pattern) => (key(pattern.as_str())?, true),
        };
        let digit = |on: bool| Word::number(on.into());
        let rows = vec![(key, digit(found))];
        variables.push(preamble.map(Word::made_variable(source), rows, digit(!found)));
    }
    Ok(variables)
}

/// A pattern as a key of a map.
fn key(pattern: &str) -> Result<Word<'static>, QuoteError> {
    quote(&format!("~{pattern}")).map(Word::into_owned)
}
