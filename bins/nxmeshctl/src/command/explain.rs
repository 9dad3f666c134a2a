//! `nxmeshctl explain`

use anyhow::anyhow;
use nxmesh_core::{model::ResourceKind, schema};
use nxmesh_process::exit::{Exit, OrExit as _};
use nxmesh_render::HandlebarsRenderer;
use serde_json::Value;

use crate::{options::ExplainArguments, output};

pub(crate) fn run(arguments: &ExplainArguments) -> anyhow::Result<Exit> {
    if let Some(name) = &arguments.template {
        return template(name);
    }
    let Some(path) = &arguments.path else {
        for kind in ResourceKind::ALL {
            output::line(kind.as_str())?;
        }
        return Ok(Exit::Success);
    };
    let mut parts = path.split('.');
    let kind: ResourceKind = parts
        .next()
        .unwrap_or_default()
        .parse()
        .map_err(anyhow::Error::from)
        .or_exit(Exit::NotFound)?;
    let document = schema::of(kind);
    let document = Document(&document);
    let mut at = kind.to_string();
    let mut field = document.0;
    let mut described = None;
    for part in parts {
        let (found, own) = document
            .field(field, part)
            .ok_or_else(|| {
                let fields = document.fields(field).into_iter().map(|(name, _)| name);
                let fields: Vec<&str> = fields.collect();
                if fields.is_empty() {
                    anyhow!("{at} has no fields")
                } else {
                    anyhow!("{at} has no field {part:?}; it has {}", fields.join(", "))
                }
            })
            .or_exit(Exit::NotFound)?;
        (field, described) = (found, own);
        at = format!("{at}.{part}");
    }
    output::line(&format!("{at}: {}", document.type_of(field)))?;
    for text in [described, description(document.resolve(field))]
        .into_iter()
        .flatten()
    {
        output::line(&format!("  {}", text.replace('\n', "\n  ")))?;
    }
    if let Some(example) = document.resolve(field)["examples"][0].as_str() {
        output::line(&format!("  for example {example}"))?;
    }
    for (word, about) in document.words(field) {
        output::line(&format!("  {word}"))?;
        output::line(&format!("      {}", about.replace('\n', "\n      ")))?;
    }
    document.print(field, 0, arguments.recursive)?;
    Ok(Exit::Success)
}

/// Tells of a built-in template.
fn template(name: &str) -> anyhow::Result<Exit> {
    let renderer = HandlebarsRenderer::new();
    if name == "-" {
        for template in renderer.templates() {
            output::line(&template.name)?;
        }
        return Ok(Exit::Success);
    }
    let found = renderer.templates().find(|it| it.name == name);
    let found = found
        .ok_or_else(|| {
            let names: Vec<String> = renderer.templates().map(|it| it.name).collect();
            anyhow!(
                "there is no template {name:?}; there are {}",
                names.join(", ")
            )
        })
        .or_exit(Exit::NotFound)?;
    output::line(&format!("{name}: runs over a {}", found.record))?;
    for record in &found.records {
        output::line(&format!("\n{}: {}", record.name, record.about))?;
        for field in &record.fields {
            let about = if field.about.is_empty() {
                String::new()
            } else {
                format!("  {}", field.about)
            };
            output::line(&format!("  {}{about}", field.usage))?;
        }
    }
    output::line(&format!("\n{}", found.source.trim_end()))?;
    Ok(Exit::Success)
}

fn description(schema: &Value) -> Option<&str> {
    schema["description"].as_str()
}

/// The schema of a kind of document.
struct Document<'d>(&'d Value);

impl<'d> Document<'d> {
    /// Without `$ref`, and without what only says that it may be left out.
    fn resolve(&self, schema: &'d Value) -> &'d Value {
        if let Some(name) = schema["$ref"].as_str() {
            let found = self.0.pointer(name.trim_start_matches('#'));
            return found.map_or(schema, |found| self.resolve(found));
        }
        let choices = schema["anyOf"].as_array().into_iter().flatten();
        let mut choices = choices.filter(|choice| choice["type"] != "null");
        match (choices.next(), choices.next()) {
            (Some(only), None) => self.resolve(only),
            _ => schema,
        }
    }

    /// What lists of it hold, or it itself.
    fn inner(&self, schema: &'d Value) -> &'d Value {
        let schema = self.resolve(schema);
        match schema.get("items") {
            Some(items) => self.resolve(items),
            None => schema,
        }
    }

    /// Its fields, and those of its variants.
    fn fields(&self, schema: &'d Value) -> Vec<(&'d str, &'d Value)> {
        let schema = self.inner(schema);
        let variants = schema["oneOf"].as_array().into_iter().flatten();
        let owners = std::iter::once(schema).chain(variants);
        let fields = owners
            .filter_map(|owner| owner["properties"].as_object())
            .flatten();
        fields.map(|(name, field)| (name.as_str(), field)).collect()
    }

    /// The words it may be, and what each means.
    fn words(&self, schema: &'d Value) -> impl Iterator<Item = (&'d str, &'d str)> {
        let variants = self.inner(schema)["oneOf"].as_array().into_iter().flatten();
        variants.filter_map(|variant| Some((variant["const"].as_str()?, description(variant)?)))
    }

    /// A field, and what is said of it there.
    fn field(&self, schema: &'d Value, name: &str) -> Option<(&'d Value, Option<&'d str>)> {
        let fields = self.fields(schema);
        let (_, field) = fields.into_iter().find(|(own, _)| *own == name)?;
        let own = description(field).filter(|own| description(self.resolve(field)) != Some(own));
        Some((field, own))
    }

    fn type_of(&self, schema: &'d Value) -> String {
        let schema = self.resolve(schema);
        if let Some(items) = schema.get("items") {
            return format!("list of {}", self.type_of(items));
        }
        let variants = schema["oneOf"].as_array().into_iter().flatten();
        let variants: Vec<String> = variants
            .flat_map(|variant| match (&variant["const"], &variant["enum"]) {
                (Value::String(name), _) => vec![name.clone()],
                (_, Value::Array(names)) => names
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
                _ => {
                    let fields = variant["properties"].as_object().into_iter().flatten();
                    fields.map(|(name, _)| format!("{{ {name}: … }}")).collect()
                }
            })
            .collect();
        if !variants.is_empty() {
            return variants.join(" | ");
        }
        let words = |words: &[Value], between: &str| {
            let words = words.iter().filter_map(Value::as_str);
            let words: Vec<&str> = words.filter(|word| *word != "null").collect();
            words.join(between)
        };
        match (&schema["enum"], &schema["type"]) {
            (Value::Array(values), _) => words(values, " | "),
            (_, Value::String(one)) => one.clone(),
            (_, Value::Array(several)) => words(several, " or "),
            _ => "any".to_owned(),
        }
    }

    /// Prints the fields below; types lie at most so deep that this may recurse.
    fn print(&self, schema: &'d Value, depth: usize, recursive: bool) -> anyhow::Result<()> {
        let required = self.inner(schema)["required"].as_array();
        for (name, field) in self.fields(schema) {
            let needed = required.is_some_and(|all| all.iter().any(|it| it == name));
            let mark = if needed { ", required" } else { "" };
            let indent = "  ".repeat(depth + 1);
            output::line(&format!("{indent}{name}: {}{mark}", self.type_of(field)))?;
            if depth == 0 || recursive {
                let said = description(field).or_else(|| description(self.resolve(field)));
                // Its first paragraph: the rest is told where it is asked for by its name.
                let paragraph = said.unwrap_or_default().lines();
                for line in paragraph.take_while(|line| !line.is_empty()) {
                    output::line(&format!("{indent}    {line}"))?;
                }
            }
            if recursive {
                self.print(field, depth + 1, recursive)?;
            }
        }
        Ok(())
    }
}
