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

use std::collections::{BTreeMap, BTreeSet};

use handlebars::{
    Template,
    template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement},
};
use nxmesh_core::contract::renderer::RenderError;

use super::{
    program::{Place, Program, Step, Test},
    record::{Kind, Shape},
    syntax,
};

/// The largest program, in steps; partials count wherever they are used.
const MAX_STEPS: usize = 20_000;

/// Templates by name.
pub(crate) type Sources = BTreeMap<String, String>;

/// Compiles the template called `root` to run over records of `shape`, and
/// adds the names of the templates it is made of to `used`.
pub(crate) fn compile(
    sources: &Sources,
    root: &str,
    shape: &'static Shape,
    used: &mut BTreeSet<String>,
) -> Result<Program, RenderError> {
    let mut compiler = Compiler {
        sources,
        used,
        open: Vec::new(),
        scope: vec![Level { shape, item: false }],
        present: Vec::new(),
        steps: 0,
    };
    let start = At {
        template: root.to_owned(),
        line: 1,
        column: 1,
    };
    compiler.template(root, "", &start)
}

/// A place in a template.
#[derive(Clone)]
struct At {
    template: String,
    line: usize,
    column: usize,
}

impl At {
    fn error(&self, reason: impl Into<String>) -> RenderError {
        RenderError::Template {
            template: self.template.clone(),
            line: self.line,
            column: self.column,
            reason: reason.into(),
        }
    }
}

/// A record the template is inside of.
struct Level {
    shape: &'static Shape,
    item: bool,
}

struct Compiler<'s> {
    sources: &'s Sources,
    used: &'s mut BTreeSet<String>,
    /// The templates being compiled, outermost first.
    open: Vec<String>,
    scope: Vec<Level>,
    /// Optional fields that an `{{#if}}` around here is about: depth and slot.
    present: Vec<(usize, usize)>,
    steps: usize,
}

/// One template's text while it is compiled.
struct Text<'t> {
    name: &'t str,
    source: &'t str,
    /// How far its lines were moved to the right.
    indent: usize,
}

impl Compiler<'_> {
    fn template(&mut self, name: &str, indent: &str, at: &At) -> Result<Program, RenderError> {
        let Some(source) = self.sources.get(name) else {
            return Err(at.error(format!("there is no template {name:?}")));
        };
        if self.open.iter().any(|open| open == name) {
            return Err(at.error(format!("the template {name:?} includes itself")));
        }
        self.used.insert(name.to_owned());
        self.open.push(name.to_owned());
        let place = |line, column: usize| At {
            template: name.to_owned(),
            line,
            column: column.saturating_sub(indent.len()).max(1),
        };
        syntax::check(source)
            .map_err(|(line, column, reason)| place(line, column + indent.len()).error(reason))?;
        let source = syntax::indented(source, indent);
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
                TemplateElement::RawString(literal) => push_literal(&mut steps, literal),
                TemplateElement::Comment(_) => {}
                TemplateElement::Expression(expression) => {
                    steps.push(self.word(expression, &at)?);
                }
                TemplateElement::HelperBlock(block) => steps.push(self.block(text, block, &at)?),
                TemplateElement::PartialExpression(partial) => {
                    for step in self.partial(text, partial, &at)?.0 {
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
        Ok(Program(steps))
    }

    fn word(&self, expression: &HelperTemplate, at: &At) -> Result<Step, RenderError> {
        let name = expression.name.as_name().unwrap_or_default();
        if !expression.params.is_empty() || !expression.hash.is_empty() {
            return Err(at.error(format!("there is no helper {name:?}")));
        }
        let (place, kind) = self.field(name, at)?;
        match kind {
            Kind::Word => Ok(Step::Word(place)),
            Kind::OptionalWord if self.present.contains(&self.absolute(place)) => {
                Ok(Step::Word(place))
            }
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
                let test = self.test(argument, at)?;
                let (holds, fails) = if helper == "if" {
                    (body, inverse)
                } else {
                    (inverse, body)
                };
                let known = self.present.len();
                if let Test::Field(place) = test {
                    self.present.push(self.absolute(place));
                }
                let then = self.optional(text, holds, at)?;
                self.present.truncate(known);
                let otherwise = self.optional(text, fails, at)?;
                Ok(Step::If {
                    test,
                    then,
                    otherwise,
                })
            }
            "each" => {
                let (list, Kind::List(shape)) = self.field(argument, at)? else {
                    return Err(at.error(format!("{argument:?} is not a list")));
                };
                let body = self.inside(text, body, Level { shape, item: true }, at)?;
                let otherwise = self.optional(text, inverse, at)?;
                Ok(Step::Each {
                    list,
                    body,
                    otherwise,
                })
            }
            _ => {
                let (record, Kind::Record(shape)) = self.field(argument, at)? else {
                    return Err(at.error(format!("{argument:?} is not a record")));
                };
                let body = self.inside(text, body, Level { shape, item: false }, at)?;
                let otherwise = self.optional(text, inverse, at)?;
                Ok(Step::With {
                    record,
                    body,
                    otherwise,
                })
            }
        }
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
        self.scope.push(level);
        let program = self.optional(text, template, at)?;
        self.scope.pop();
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

    fn test(&self, argument: &str, at: &At) -> Result<Test, RenderError> {
        let Some(local) = argument.strip_prefix('@') else {
            return Ok(Test::Field(self.field(argument, at)?.0));
        };
        let (up, name) = self.outwards(local, at)?;
        let item = self.scope[self.scope.len() - 1 - up].item;
        match name {
            "first" if item => Ok(Test::First(up)),
            "last" if item => Ok(Test::Last(up)),
            "first" | "last" => Err(at.error(format!("{argument:?} is not inside {{{{#each}}}}"))),
            _ => Err(at.error(format!(
                "there is no {argument:?}; there are @first and @last"
            ))),
        }
    }

    fn field(&self, path: &str, at: &At) -> Result<(Place, Kind), RenderError> {
        let (up, name) = self.outwards(path, at)?;
        let shape = self.scope[self.scope.len() - 1 - up].shape;
        let slot = shape
            .fields
            .iter()
            .position(|(field, _)| *field == name)
            .ok_or_else(|| {
                let fields: Vec<_> = shape.fields.iter().map(|(field, _)| *field).collect();
                at.error(format!(
                    "{} has no field {name:?}; it has {}",
                    shape.name,
                    fields.join(", ")
                ))
            })?;
        Ok((Place { up, slot }, shape.fields[slot].1))
    }

    /// Splits `../../name`; there are that many records around.
    fn outwards<'p>(&self, path: &'p str, at: &At) -> Result<(usize, &'p str), RenderError> {
        let mut name = path;
        let mut up = 0;
        while let Some(rest) = name.strip_prefix("../") {
            (up, name) = (up + 1, rest);
        }
        if up >= self.scope.len() {
            return Err(at.error(format!("{path:?} leads out of the outermost record")));
        }
        if name.contains(['.', '/']) {
            return Err(at.error(format!(
                "{path:?} has several steps; enter the record with {{{{#with}}}}"
            )));
        }
        Ok((up, name))
    }

    fn absolute(&self, place: Place) -> (usize, usize) {
        (self.scope.len() - place.up, place.slot)
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
