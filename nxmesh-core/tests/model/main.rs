//! Properties of values, selectors and whole documents.

#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod strategies;

use std::fmt::Display;

use nxmesh_core::{
    document::{parse, parse_canonical, parse_value},
    model::{
        Labels, Requirement, Selector,
        value::{
            ContentType, FilePath, HeaderName, HeaderValue, IndexName, LabelKey, LabelValue,
            ListenAddress, LocationPath, RedirectTarget, RegexPattern, ResourceName, ResponseBody,
            ServerName, SizeBytes, Time, UpstreamAddress, UserName, ValueError, WorkspaceName,
        },
    },
};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// A value that is accepted has a normal form that is accepted, is no more than
/// text, and travels through JSON. Returns whether it was accepted.
fn accepted<T>(text: &str) -> Result<bool, TestCaseError>
where
    T: std::str::FromStr<Err = ValueError>
        + Display
        + PartialEq
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let parsed: T = match text.parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            let kind = std::any::type_name::<T>();
            let from_json = serde_json::from_value::<T>(json!(text));
            prop_assert!(from_json.is_err(), "{kind} takes {text:?} from JSON only");
            let example = error.example;
            prop_assert!(!error.rule.is_empty() && !example.is_empty(), "{kind}");
            prop_assert!(example.parse::<T>().is_ok(), "{kind}: example {example}");
            return Ok(false);
        }
    };
    let normal = parsed.to_string();
    prop_assert!(!normal.chars().any(char::is_control), "{normal:?}");
    // Fits a quoted token of nginx.
    let quoted = normal
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('$', "${nxmesh_dollar}");
    prop_assert!(quoted.len() <= 4000, "{} bytes", quoted.len());
    let again = normal.parse::<T>();
    prop_assert_eq!(again.as_ref(), Ok(&parsed), "{:?}", normal);
    let json = serde_json::to_value(&parsed).unwrap();
    let from_json: T = serde_json::from_value(json).unwrap();
    prop_assert_eq!(from_json, parsed);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn accepted_values_are_plain_and_stay_themselves(text in strategies::text()) {
        for text in [text.clone(), format!("/{text}"), format!("~{text}"), format!("https://{text}"), format!("unix:/{text}")] {
            accepted::<ContentType>(&text)?;
            accepted::<FilePath>(&text)?;
            accepted::<HeaderName>(&text)?;
            accepted::<HeaderValue>(&text)?;
            accepted::<IndexName>(&text)?;
            accepted::<LabelKey>(&text)?;
            accepted::<LabelValue>(&text)?;
            accepted::<ListenAddress>(&text)?;
            accepted::<LocationPath>(&text)?;
            accepted::<RedirectTarget>(&text)?;
            accepted::<RegexPattern>(&text)?;
            accepted::<ResourceName>(&text)?;
            // It may have lines.
            if !text.contains(['\n', '\t']) {
                accepted::<ResponseBody>(&text)?;
            }
            accepted::<ServerName>(&text)?;
            accepted::<SizeBytes>(&text)?;
            accepted::<Time>(&text)?;
            accepted::<UpstreamAddress>(&text)?;
            accepted::<UserName>(&text)?;
            accepted::<WorkspaceName>(&text)?;
        }
    }

    #[test]
    fn free_text_without_control_characters_is_accepted(text in "[^\\x00-\\x1f\\x7f-\\x9f]{1,80}") {
        prop_assert!(accepted::<HeaderValue>(&text)?);
        prop_assert!(accepted::<ResponseBody>(&text)?);
        let path = format!("/{text}");
        prop_assert!(accepted::<LocationPath>(&path)?);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn selectors_show_as_what_they_are(text in strategies::selector()) {
        let selector: Selector = text.parse().unwrap();
        let shown = selector.to_string();
        prop_assert_eq!(shown.parse::<Selector>().unwrap(), selector, "{}", shown);
    }

    #[test]
    fn selectors_never_break(text in strategies::text()) {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
        }
    }

    #[test]
    fn selectors_match_what_their_requirements_say(
        text in strategies::selector(),
        labels in prop::collection::btree_map("[a-z]", "[a-z]?", 0..4),
    ) {
        let selector: Selector = text.parse().unwrap();
        let mut labels: Labels = labels
            .into_iter()
            .map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap()))
            .collect();
        // Then with labels that fit the first requirement.
        for _ in 0..2 {
            let expected = selector.requirements().iter().all(|one| holds(one, &labels));
            prop_assert_eq!(selector.matches(&labels), expected, "{} on {:?}", selector, labels);
            for requirement in selector.requirements() {
                if let Requirement::In(key, values) = requirement {
                    labels.insert(key.clone(), values.iter().next().unwrap().clone());
                }
            }
        }
    }

    #[test]
    fn documents_come_back_from_their_canonical_form(document in strategies::document()) {
        let resource = match parse_value("test", document.clone()) {
            Ok(resource) => resource,
            Err(problem) => return Err(TestCaseError::fail(format!("{problem} in {document}"))),
        };
        let canonical = resource.to_canonical_json();
        let again = parse_canonical("test", &canonical);
        prop_assert_eq!(again.as_ref(), Ok(&resource));
        prop_assert_eq!(again.unwrap().to_canonical_json(), canonical.clone());
        prop_assert_eq!(resource.digest(), nxmesh_core::digest::Digest::of(&canonical));
        // People write and read YAML.
        let text = String::from_utf8(canonical).unwrap();
        let parsed = parse("test", &text);
        prop_assert_eq!(&parsed.unwrap()[0].resource, &resource);
    }

    /// A text put in the place of any other is refused there, or it is read
    /// back; nothing else happens.
    #[test]
    fn a_text_is_refused_at_its_place_or_kept(
        document in strategies::document(),
        place in any::<prop::sample::Index>(),
        text in strategies::text(),
    ) {
        let mut places = Vec::new();
        texts(&document, "", &mut places);
        let place = place.get(&places);
        let mut changed = document;
        *changed.pointer_mut(place).unwrap() = json!(text);
        match parse_value("test", changed.clone()) {
            Ok(resource) => {
                let kept = parse_canonical("test", &resource.to_canonical_json());
                prop_assert_eq!(kept, Ok(resource), "{} {:?}", place, text);
            }
            Err(problem) => {
                // What kind of match it is decides whether a path is one.
                let path = place.strip_suffix("/match").map(|location| format!("{location}/path"));
                prop_assert!(
                    problem.pointer == *place || Some(&problem.pointer) == path.as_ref(),
                    "{} for {:?} at {}", problem, text, place
                );
                prop_assert!(!problem.to_string().contains(|c: char| c.is_control()));
            }
        }
    }
}

fn holds(requirement: &Requirement, labels: &Labels) -> bool {
    let value = |key| labels.get(key);
    match requirement {
        Requirement::In(key, values) => values.iter().any(|one| value(key) == Some(one)),
        Requirement::NotIn(key, values) => values.iter().all(|one| value(key) != Some(one)),
        Requirement::Exists(key) => value(key).is_some(),
        Requirement::Absent(key) => value(key).is_none(),
    }
}

/// The pointers of all texts in a document.
fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                texts(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                texts(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_capture_hides_a_variable_of_nginx() {
    // nginx compares names of variables without regard to case.
    for name in [
        "args",
        "Limit_Rate",
        "arg_id",
        "cookie_session",
        "http_upgrade",
        "HTTP_Upgrade",
        "sent_http_location",
        "upstream_http_x",
        "nxmesh_dollar",
        "NXMESH_dollar",
        "host",
        "URI",
        "binary_remote_addr",
        "ssl_client_s_dn",
    ] {
        for pattern in [format!("^/(?<{name}>a)"), format!("(?P<{name}>a)|b")] {
            RegexPattern::parse(&pattern).unwrap_err();
            ServerName::parse(&format!("~{pattern}")).unwrap_err();
        }
    }
    for name in ["shop", "hosts", "argument"] {
        RegexPattern::parse(&format!("^/(?<{name}>a)")).unwrap();
    }
}
