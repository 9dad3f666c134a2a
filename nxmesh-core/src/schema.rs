//! JSON Schema of the documents people write, made from their types.
//!
//! Doc comments become descriptions; values that are parsed from text carry the
//! rule and the example that errors tell.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::model::{
    AccessList, Certificate, Location, NginxSettings, Param, PathTemplate, Policy, Redirect,
    RequestHeader, ResourceKind, Rewrite, Route, RouteSet, Snippet, StaticFiles, StreamServer,
    Template, Traffic, TrafficSettings, Upstream, VirtualHost, for_each_kind,
    traffic::RequestRate,
    value::{
        AccessSource, ListenAddress, LogStatus, Network, Percent, Port, RedirectCode, RefusalCode,
        SizeBytes, StatusCode, Time, UpstreamStatus, ValueError,
    },
};

/// The schema of the documents of a kind (JSON Schema, draft 2020-12).
///
/// ```
/// use nxmesh_core::{model::ResourceKind, schema};
///
/// let schema = schema::of(ResourceKind::Upstream);
/// assert_eq!(schema["properties"]["kind"]["const"], "Upstream");
/// ```
#[must_use]
pub fn of(kind: ResourceKind) -> Value {
    macro_rules! schema {
        ($($kind:ident $plural:literal $aliases:tt,)*) => {
            match kind {
                $(ResourceKind::$kind => document::<$kind>(),)*
            }
        };
    }
    let mut schema = for_each_kind!(schema);
    schema["title"] = json!(kind.as_str());
    schema["properties"]["kind"] = json!({
        "const": kind.as_str(),
        "description": "The kind of the document.",
    });
    if let Some(required) = schema["required"].as_array_mut() {
        required.insert(0, json!("kind"));
    }
    schema
}

/// Settings that stand among the fields of their owner are seen where it is
/// written, fields that may be left out where it is read.
fn document<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12;
    let generate = |settings: SchemaSettings| {
        let schema = settings.into_generator().into_root_schema_for::<T>();
        Value::from(schema)
    };
    let mut written = generate(settings().for_serialize());
    let read = generate(settings().for_deserialize());
    take_required(&mut written, &read);
    written
}

fn take_required(written: &mut Value, read: &Value) {
    if written.get("properties").is_some() {
        match read.get("required") {
            Some(required) => written["required"] = required.clone(),
            None => {
                if let Some(object) = written.as_object_mut() {
                    object.remove("required");
                }
            }
        }
    }
    match written {
        Value::Object(fields) => {
            for (name, value) in fields {
                take_required(value, read.get(name).unwrap_or(&Value::Null));
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter_mut().enumerate() {
                take_required(value, read.get(index).unwrap_or(&Value::Null));
            }
        }
        _ => {}
    }
}

/// A value that is written as text, or as one of `types`.
pub(crate) fn value(types: Value, error: ValueError) -> schemars::Schema {
    let mut schema = schemars::json_schema!({ "type": types, "description": error.rule });
    schema.insert("examples".to_owned(), json!([error.example]));
    schema
}

macro_rules! values {
    ($($name:ident $types:tt from $wrong:literal,)*) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
                let error: ValueError = match $wrong.parse::<Self>() {
                    Err(error) => error,
                    Ok(_) => ValueError { rule: stringify!($name), example: $wrong },
                };
                value(json!($types), error)
            }
        }
    )*};
}
values! {
    AccessSource "string" from "",
    ListenAddress "string" from "",
    LogStatus ["string", "integer"] from "",
    Network "string" from "",
    PathTemplate "string" from "",
    Percent ["string", "number"] from "",
    RequestRate "string" from "",
    SizeBytes ["string", "integer"] from "",
    Time "string" from "",
}

macro_rules! numbers {
    ($($name:ident: $rule:literal, $least:literal to $most:literal,)*) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "integer",
                    "description": $rule,
                    "minimum": $least,
                    "maximum": $most,
                })
            }
        }
    )*};
}
numbers! {
    Port: "A port, 1 to 65535.", 1 to 65535,
    RedirectCode: "301, 302, 303, 307 or 308.", 301 to 308,
    RefusalCode: "The status of a refusal.", 400 to 599,
    StatusCode: "The status of a response.", 200 to 599,
    UpstreamStatus: "The status of a response of an upstream.", 200 to 599,
}

/// As a type that has the same form in documents.
macro_rules! same_as {
    ($($name:ident as $other:ty,)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                <$other>::inline_schema()
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> schemars::Schema {
                <$other>::json_schema(generator)
            }
        }
    )*};
}
same_as! {
    Location as crate::model::RawLocation,
    Param as crate::model::RawParam,
    Redirect as crate::model::RawRedirect,
    RequestHeader as crate::model::RawRequestHeader,
    Rewrite as crate::model::RawRewrite,
    Route as crate::model::RawRoute,
    StaticFiles as crate::model::RawStaticFiles,
    Traffic as TrafficSettings,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every field says what it is for.
    #[test]
    fn every_field_is_described() {
        fn walk(at: &str, schema: &Value, missing: &mut Vec<String>) {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                // A variant is described as a whole.
                let described = field.get("description").or(schema.get("description"));
                if described.is_none() && field.get("$ref").is_none() {
                    missing.push(format!("{at}/{name}"));
                }
            }
            match schema {
                Value::Object(fields) => {
                    for (name, value) in fields {
                        walk(&format!("{at}/{name}"), value, missing);
                    }
                }
                Value::Array(items) => items.iter().for_each(|it| walk(at, it, missing)),
                _ => {}
            }
        }
        let mut missing = Vec::new();
        for kind in ResourceKind::ALL {
            walk(kind.as_str(), &of(kind), &mut missing);
        }
        assert_eq!(missing, Vec::<String>::new());
    }

    /// `NXMESH_BLESS=1` writes what is shipped anew.
    #[test]
    fn what_is_shipped_is_up_to_date() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
        for kind in ResourceKind::ALL {
            let path = folder.join(format!("{kind}.json"));
            let text = format!("{:#}\n", of(kind));
            if std::env::var_os("NXMESH_BLESS").is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let shipped = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                shipped == text,
                "{} differs; bless it with NXMESH_BLESS=1",
                path.display()
            );
        }
    }

    #[test]
    fn settings_stand_among_the_fields_of_their_owner() {
        let schema = of(ResourceKind::VirtualHost);
        let host = &schema["$defs"]["VirtualHostSpec"];
        for field in ["server_names", "rate_limit", "policies"] {
            assert!(
                host["properties"].get(field).is_some(),
                "{field} in {host:#}"
            );
        }
        assert_eq!(host["additionalProperties"], json!(false));
        assert_eq!(host["required"], json!(["server_names"]));
        let location = &schema["$defs"]["Location"];
        assert!(
            location["properties"].get("access").is_some(),
            "{location:#}"
        );
        assert_eq!(location["required"], json!(["path"]));
    }
}
