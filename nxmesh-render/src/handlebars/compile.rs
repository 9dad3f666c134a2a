//! From Handlebars source to a [`Program`].
//!
//! The `handlebars` crate reads the template; what its syntax tree says is
//! compiled here, against the shape of the record it will run over. The part of
//! the language that is left has no way to look anything up while it runs:
//!
//! | written | means |
//! |---|---|
//! | `{{name}}`, `{{../name}}`, `{{this}}` | the word of this, an outer record, or of a list |
//! | `{{#if x}}` `{{else if y}}` `{{else}}`, `{{#unless x}}` | whether a flag is set, a list has items, the rest is there |
//! | `{{#each list}}` `{{else}}` | for each item; `@first` and `@last` can be asked |
//! | `{{#with record}}` `{{else}}` | inside a record, if it is there |
//! | `{{> name}}` | another template, indented as the line it stands on |
//! | `{{! text}}` | nothing |

use std::collections::BTreeMap;

use handlebars::{
    Template,
    template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement},
};
use nxmesh_core::contract::renderer::RenderError;

use super::{
    program::{Program, Step},
    record::{Kind, Shape},
    scope::{At, Level, Scope},
    skeleton::{self, Cursor, Piece},
    syntax,
};

/// The largest program, in steps; partials count wherever they are used.
const MAX_STEPS: usize = 20_000;

/// The most work that all templates may be for the parser, in tags times bytes: each tag costs it
/// a look at all of the template before. The built-in ones are less than a third of that.
const MAX_WORK: usize = 16 << 20;

/// Templates by name.
pub(crate) type Sources = BTreeMap<String, String>;

/// The records that templates run over, by the names of the templates.
pub(crate) type Uses = BTreeMap<String, &'static Shape>;

/// Compiles the template called `root` to run over records of `shape`, and
/// adds the templates it is made of to `used`, each with the record it runs over, and what it was
/// to parse them to `work`.
pub(crate) fn compile(
    sources: &Sources,
    root: &str,
    shape: &'static Shape,
    used: &mut Uses,
    work: &mut usize,
) -> Result<Program, RenderError> {
    let mut compiler = Compiler {
        sources,
        used,
        work,
        open: Vec::new(),
        scope: Scope::new(shape),
        steps: 0,
        pieces: Vec::new(),
    };
    let start = At {
        template: root.to_owned(),
        line: 1,
        column: 1,
    };
    let program = compiler.template(root, "", &start)?;
    skeleton::check(&compiler.pieces)?;
    Ok(program)
}

struct Compiler<'s> {
    sources: &'s Sources,
    used: &'s mut Uses,
    work: &'s mut usize,
    /// The templates being compiled, outermost first.
    open: Vec<String>,
    scope: Scope,
    steps: usize,
    /// What was compiled last, for its structure to be checked.
    pieces: Vec<Piece>,
}

/// One template's text while it is compiled.
struct Text<'t> {
    name: &'t str,
    source: &'t str,
    /// How far its lines were moved to the right.
    indent: usize,
}

impl Text<'_> {
    /// Where `literal` begins, of which the parser only says where it begins
    /// behind white space.
    fn start_of(&self, literal: &str, at: &At) -> Cursor {
        let line = self.source.lines().nth(at.line - 1).unwrap_or_default();
        let first = literal.lines().next().unwrap_or_default();
        let behind = at.column + self.indent;
        let starts = line
            .match_indices(first)
            .map(|(start, _)| line[..start].chars().count() + 1);
        let start = starts.take_while(|start| *start <= behind).last();
        Cursor {
            template: self.name.to_owned(),
            line: at.line,
            column: start.filter(|_| !first.is_empty()).unwrap_or(behind),
            indent: self.indent,
        }
    }
}

impl Compiler<'_> {
    fn template(&mut self, name: &str, indent: &str, at: &At) -> Result<Program, RenderError> {
        let Some(source) = self.sources.get(name) else {
            return Err(at.error(format!("there is no template {name:?}")));
        };
        if self.open.iter().any(|open| open == name) {
            return Err(at.error(format!("the template {name:?} includes itself")));
        }
        let record = self.scope.record();
        self.used.entry(name.to_owned()).or_insert(record);
        self.open.push(name.to_owned());
        let place = |line, column: usize| At {
            template: name.to_owned(),
            line,
            column: column.saturating_sub(indent.len()).max(1),
        };
        let tags = syntax::check(source)
            .map_err(|(line, column, reason)| place(line, column + indent.len()).error(reason))?;
        let source = syntax::indented(source, indent);
        *self.work += tags * source.len();
        if *self.work > MAX_WORK {
            return Err(at.error(
                "the templates are too much together: fewer tags, or shorter templates, or \
                 fewer that are included again and again",
            ));
        }
        let parsed = Template::compile(&source).map_err(|error| {
            let (line, column) = error.pos().unwrap_or((1, 1));
            place(line, column).error(error.reason().to_string())
        })?;
        let text = Text {
            name,
            source: &source,
            indent: indent.len(),
        };
        let program = self.elements(&text, &parsed, &place(1, 1))?;
        self.open.pop();
        Ok(program)
    }

    fn elements(
        &mut self,
        text: &Text<'_>,
        template: &Template,
        around: &At,
    ) -> Result<Program, RenderError> {
        let mut steps = Vec::new();
        for (index, element) in template.elements.iter().enumerate() {
            let at = match template.mapping.get(index) {
                Some(mapping) => At {
                    template: text.name.to_owned(),
                    line: mapping.0,
                    column: mapping.1.saturating_sub(text.indent).max(1),
                },
                None => around.clone(),
            };
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(at.error(format!(
                    "the templates have more than {MAX_STEPS} steps together"
                )));
            }
            match element {
                TemplateElement::RawString(literal) => {
                    let start = text.start_of(literal, &at);
                    self.pieces.push(Piece::Text(literal.clone(), start));
                    push_literal(&mut steps, literal);
                }
                TemplateElement::Comment(_) => {}
                TemplateElement::Expression(expression) => {
                    steps.push(self.word(expression, &at)?);
                }
                TemplateElement::HelperBlock(block) => steps.push(self.block(text, block, &at)?),
                TemplateElement::PartialExpression(partial) => {
                    let (included, pieces) =
                        self.apart(|compiler| compiler.partial(text, partial, &at))?;
                    self.pieces.push(Piece::Included(pieces));
                    for step in included.0 {
                        match step {
                            Step::Literal(literal) => push_literal(&mut steps, &literal),
                            other => steps.push(other),
                        }
                    }
                }
                TemplateElement::HtmlExpression(_) => {
                    return Err(at.error("text is always quoted; write {{name}} with two braces"));
                }
                // Decorators, partial blocks and what may come.
                _ => {
                    return Err(
                        at.error("decorators and partial blocks are not part of the language")
                    );
                }
            }
        }
        Ok(Program(steps.into()))
    }

    fn word(&mut self, expression: &HelperTemplate, at: &At) -> Result<Step, RenderError> {
        let name = expression.name.as_name().unwrap_or_default();
        if !expression.params.is_empty() || !expression.hash.is_empty() {
            return Err(at.error(format!("there is no helper {name:?}")));
        }
        let (place, kind) = self.scope.field(name, at)?;
        self.pieces.push(match kind {
            Kind::Snippet => Piece::Snippet(at.clone()),
            _ => Piece::Word(at.clone()),
        });
        match kind {
            Kind::Word | Kind::Snippet => Ok(Step::Word(place)),
            Kind::OptionalWord if self.scope.is_present(place) => Ok(Step::Word(place)),
            Kind::OptionalWord => Err(at.error(format!(
                "{name:?} may be absent; write it inside {{{{#if {name}}}}}"
            ))),
            Kind::Flag => Err(at.error(format!("{name:?} is a flag; ask it with {{{{#if}}}}"))),
            Kind::Record(_) => {
                Err(at.error(format!("{name:?} is a record; enter it with {{{{#with}}}}")))
            }
            Kind::List(_) => {
                Err(at.error(format!("{name:?} is a list; enter it with {{{{#each}}}}")))
            }
        }
    }

    fn block(
        &mut self,
        text: &Text<'_>,
        block: &HelperTemplate,
        at: &At,
    ) -> Result<Step, RenderError> {
        let helper = block.name.as_name().unwrap_or_default();
        if !["if", "unless", "each", "with"].contains(&helper) {
            return Err(at.error(format!(
                "there is no block {helper:?}; there are if, unless, each and with"
            )));
        }
        let argument = match &block.params[..] {
            [Parameter::Path(_)] if block.hash.is_empty() && block.block_param.is_none() => {
                block.params[0].as_name().unwrap_or_default()
            }
            _ => return Err(at.error(format!("{helper:?} takes the name of one field"))),
        };
        let body = block.template.as_ref();
        let inverse = block.inverse.as_ref();
        match helper {
            "if" | "unless" => {
                let test = self.scope.test(argument, at)?;
                let (holds, fails) = if helper == "if" {
                    (body, inverse)
                } else {
                    (inverse, body)
                };
                self.scope.assume(test);
                let (then, one) = self.apart(|compiler| compiler.optional(text, holds, at))?;
                self.scope.forget_assumption();
                let (otherwise, other) =
                    self.apart(|compiler| compiler.optional(text, fails, at))?;
                self.pieces.push(Piece::Choice(one, other, at.clone()));
                Ok(Step::If {
                    test,
                    then,
                    otherwise,
                })
            }
            "each" => {
                let (list, Kind::List(shape)) = self.scope.field(argument, at)? else {
                    return Err(at.error(format!("{argument:?} is not a list")));
                };
                let level = Level::item(shape);
                let (body, one) = self.apart(|compiler| compiler.inside(text, body, level, at))?;
                let (otherwise, other) =
                    self.apart(|compiler| compiler.optional(text, inverse, at))?;
                self.pieces.push(Piece::Repeat(one, other, at.clone()));
                Ok(Step::Each {
                    list,
                    body,
                    otherwise,
                })
            }
            _ => {
                let (record, Kind::Record(shape)) = self.scope.field(argument, at)? else {
                    return Err(at.error(format!("{argument:?} is not a record")));
                };
                let level = Level::record(shape);
                let (body, one) = self.apart(|compiler| compiler.inside(text, body, level, at))?;
                let (otherwise, other) =
                    self.apart(|compiler| compiler.optional(text, inverse, at))?;
                self.pieces.push(Piece::Choice(one, other, at.clone()));
                Ok(Step::With {
                    record,
                    body,
                    otherwise,
                })
            }
        }
    }

    /// What `compile` gives, and its pieces.
    fn apart(
        &mut self,
        compile: impl FnOnce(&mut Self) -> Result<Program, RenderError>,
    ) -> Result<(Program, Vec<Piece>), RenderError> {
        let around = std::mem::take(&mut self.pieces);
        let program = compile(self)?;
        Ok((program, std::mem::replace(&mut self.pieces, around)))
    }

    fn optional(
        &mut self,
        text: &Text<'_>,
        template: Option<&Template>,
        at: &At,
    ) -> Result<Program, RenderError> {
        template.map_or_else(
            || Ok(Program::default()),
            |template| self.elements(text, template, at),
        )
    }

    fn inside(
        &mut self,
        text: &Text<'_>,
        template: Option<&Template>,
        level: Level,
        at: &At,
    ) -> Result<Program, RenderError> {
        self.scope.enter(level);
        let program = self.optional(text, template, at)?;
        self.scope.leave();
        Ok(program)
    }

    fn partial(
        &mut self,
        text: &Text<'_>,
        partial: &DecoratorTemplate,
        at: &At,
    ) -> Result<Program, RenderError> {
        let name = partial.name.as_name().unwrap_or_default();
        if !partial.params.is_empty() || !partial.hash.is_empty() {
            return Err(at.error("a partial takes no parameters"));
        }
        let indent = syntax::indent_of_lone_tag(text.source, at.line);
        self.template(name, indent, at)
    }
}

/// Neighbouring literals become one.
fn push_literal(steps: &mut Vec<Step>, text: &str) {
    match steps.last_mut() {
        _ if text.is_empty() => {}
        Some(Step::Literal(literal)) => literal.push_str(text),
        _ => steps.push(Step::Literal(text.to_owned())),
    }
}
