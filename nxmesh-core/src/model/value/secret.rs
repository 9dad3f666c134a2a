//! Texts that are not shown again. Wiped when dropped; they show as `***`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use zeroize::Zeroizing;

use super::ValueError;

macro_rules! secret_text {
    ($(#[$doc:meta])* $name:ident, rule: $rule:literal, example: $example:literal, fits: $fits:expr $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Parses `text`.
            ///
            /// # Errors
            ///
            /// [`ValueError`] with the rule of this type and an example.
            pub fn parse(text: &str) -> Result<Self, ValueError> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) {
                    Ok(Self(Zeroizing::new(text.to_owned())))
                } else {
                    Err(ValueError { rule: $rule, example: $example })
                }
            }

            /// The text itself.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("***")
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Zeroizing::new(String::deserialize(deserializer)?);
                Self::parse(&text).map_err(de::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let error = ValueError { rule: $rule, example: $example };
                crate::schema::value(serde_json::json!("string"), error)
            }
        }
    };
}

secret_text! {
    /// A password as nginx verifies it (nginx manual, `auth_basic_user_file`).
    PasswordHash,
    rule: "a password hash is what openssl passwd -apr1, -5 or -6 print, mkpasswd (bcrypt, yescrypt), or {SSHA} and Base64; never the password itself",
    example: "$apr1$5Gd0Y1Vj$xbFhFh1BrxV2n7aZ0lUOl.",
    fits: |text| {
        let known = ["$apr1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$", "{SSHA}"];
        let rest = known.iter().find_map(|prefix| text.strip_prefix(prefix));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./$+=".contains(&byte);
        rest.is_some_and(|rest| matches!(rest.len(), 20..=200) && rest.bytes().all(plain))
    },
}

secret_text! {
    /// What a program shows to be let in.
    ApiKey,
    rule: "a key is 16 to 200 letters, digits, '-' and '_'",
    example: "kZ3v9_pT-x81hQw2",
    fits: |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        matches!(text.len(), 16..=200) && text.bytes().all(plain)
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_cannot_be_more_than_a_line() {
        for hash in [
            "$apr1$5Gd0Y1Vj$xbFhFh1BrxV2n7aZ0lUOl.",
            "$2y$05$abcdefghijklmnopqrstuuN5q7JjC8n7nYb2vTzvXl8cQm1WlJYyG",
            "{SSHA}rLeSIk7Rj3Sg8aTzhXJ1YzZ5d2Fsa2Rr",
        ] {
            assert!(PasswordHash::parse(hash).is_ok(), "{hash}");
        }
        for hash in [
            "secret",
            "***",
            "{PLAIN}secret",
            "$apr1$a:b$0123456789012345678901",
            "$6$",
        ] {
            assert!(PasswordHash::parse(hash).is_err(), "{hash}");
        }
        for key in ["short", "***", "0123456789abcde;", "0123456789abcdef\n"] {
            assert!(ApiKey::parse(key).is_err(), "{key}");
        }
        let key = ApiKey::parse("0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?}"), "***");
    }
}
