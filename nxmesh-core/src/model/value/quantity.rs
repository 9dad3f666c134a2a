//! Sizes, times and status codes.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ValueError;

/// A size in bytes, written as a number with an optional `k`, `m` or `g` (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeBytes(u64);

impl SizeBytes {
    const ERROR: ValueError = ValueError {
        rule: "a size is a number of bytes with an optional unit k, m or g, 1024g at most",
        example: "10m",
    };
    const MAX: u64 = 1 << 40;

    /// Takes a number of bytes.
    ///
    /// # Errors
    ///
    /// [`ValueError`] above 1024 GiB.
    pub const fn new(bytes: u64) -> Result<Self, ValueError> {
        if bytes <= Self::MAX {
            Ok(Self(bytes))
        } else {
            Err(Self::ERROR)
        }
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for SizeBytes {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (digits, unit) = split_unit(text);
        let factor = match unit {
            "" => 1,
            "k" | "K" => 1 << 10,
            "m" | "M" => 1 << 20,
            "g" | "G" => 1 << 30,
            _ => return Err(Self::ERROR),
        };
        let number: u64 = digits.parse().map_err(|_| Self::ERROR)?;
        Self::new(number.checked_mul(factor).ok_or(Self::ERROR)?)
    }
}

impl fmt::Display for SizeBytes {
    /// In the form nginx reads everywhere: only for some directives it knows `g` (nginx
    /// manual, "Configuration file measurement units").
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(20, "m"), (10, "k")] {
            if self.0 != 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// A span of time in whole milliseconds, at most ten years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    const ERROR: ValueError = ValueError {
        rule: "a time is a number with a unit ms, s, m, h or d, 3650d at most",
        example: "30s",
    };
    const MAX_MS: u64 = 3650 * 86_400_000;

    /// The span as the standard library's type.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// Whether it is told in seconds without a rest, as some directives of nginx want it.
    #[must_use]
    pub const fn is_in_seconds(self) -> bool {
        self.0.is_multiple_of(1000)
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn whole_seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl FromStr for Time {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (digits, unit) = split_unit(text);
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(Self::ERROR),
        };
        let number: u64 = digits.parse().map_err(|_| Self::ERROR)?;
        number
            .checked_mul(factor)
            .filter(|ms| *ms <= Self::MAX_MS)
            .map(Self)
            .ok_or(Self::ERROR)
    }
}

impl fmt::Display for Time {
    /// In the form nginx reads: `500ms` or whole seconds (nginx manual, "Configuration file measurement units").
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}s", self.0 / 1000)
        } else {
            write!(f, "{}ms", self.0)
        }
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// What stands where a size or time is expected.
enum Quantity {
    Number(u64),
    Fraction(f64),
    Text(String),
    Other,
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

struct QuantityVisitor;

impl de::Visitor<'_> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number with a unit")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Quantity, E> {
        Ok(Quantity::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Quantity, E> {
        Ok(u64::try_from(number).map_or(Quantity::Other, Quantity::Number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Quantity, E> {
        Ok(Quantity::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Quantity, E> {
        Ok(Quantity::Text(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for SizeBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Quantity::deserialize(deserializer)? {
            Quantity::Number(bytes) => Self::new(bytes),
            Quantity::Text(text) => text.parse(),
            Quantity::Fraction(_) | Quantity::Other => Err(Self::ERROR),
        }
        .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Quantity::deserialize(deserializer)? {
            Quantity::Text(text) => text.parse(),
            Quantity::Number(_) | Quantity::Fraction(_) | Quantity::Other => Err(Self::ERROR),
        }
        .map_err(de::Error::custom)
    }
}

macro_rules! serialize_as_text {
    ($($name:ty),+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}
serialize_as_text!(SizeBytes, Time, Percent);

macro_rules! code {
    ($(#[$doc:meta])* $name:ident, $allowed:expr, $rule:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(u16);

        impl $name {
            /// Takes a code.
            ///
            /// # Errors
            ///
            /// [`ValueError`] for a code this type does not allow.
            pub fn new(code: u16) -> Result<Self, ValueError> {
                let allowed: fn(u16) -> bool = $allowed;
                if allowed(code) { Ok(Self(code)) } else { Err(ValueError { rule: $rule, example: $example }) }
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u16 {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let code = i64::deserialize(deserializer)?;
                Self::new(u16::try_from(code).unwrap_or(0)).map_err(de::Error::custom)
            }
        }
    };
}

code! {
    /// The status of a fixed response: 200 to 599, but no redirect, and not
    /// 444 and 499, which have a meaning of their own in nginx.
    StatusCode,
    |code| matches!(code, 200..=599) && !matches!(code, 300..=399 | 444 | 499),
    "a response status is 200 to 299 or 400 to 599, except 444 and 499",
    "200"
}

code! {
    /// The status of a redirect.
    RedirectCode,
    |code| matches!(code, 301 | 302 | 303 | 307 | 308),
    "a redirect code is 301, 302, 303, 307 or 308",
    "308"
}

code! {
    /// What a client gets that is turned away: an error, or 444 for a closed
    /// connection without a response (nginx manual, `return`).
    RefusalCode,
    |code| matches!(code, 400..=599) && code != 499,
    "a refusal is 400 to 599, except 499; 444 closes the connection without a response",
    "403"
}

code! {
    /// The status of a response of an upstream.
    UpstreamStatus,
    |code| matches!(code, 200..=599),
    "the status of a response is 200 to 599",
    "301"
}

/// A share in percent, from 0.01 to 100 in steps of 0.01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

impl Percent {
    const ERROR: ValueError = ValueError {
        rule: "a share is 0.01 to 100 percent with two decimals at most, a text with % or a number",
        example: "12.5%",
    };

    /// In hundredths of a percent, 1 to 10000.
    #[must_use]
    pub const fn hundredths(self) -> u16 {
        self.0
    }
}

impl FromStr for Percent {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = text.strip_suffix('%').ok_or(Self::ERROR)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        if !digits(whole) || !digits(part) || whole.len() > 3 || part.len() > 2 {
            return Err(Self::ERROR);
        }
        let whole: u16 = whole.parse().map_err(|_| Self::ERROR)?;
        let part: u16 = format!("{part:0<2}").parse().map_err(|_| Self::ERROR)?;
        match whole * 100 + part {
            hundredths @ 1..=10_000 => Ok(Self(hundredths)),
            _ => Err(Self::ERROR),
        }
    }
}

impl fmt::Display for Percent {
    /// As nginx reads it: `12.5%` (nginx manual, `split_clients`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match part {
            0 => write!(f, "{whole}%"),
            part if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            part => write!(f, "{whole}.{part:02}%"),
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Quantity::deserialize(deserializer)? {
            Quantity::Number(whole) => format!("{whole}%").parse(),
            // As it was written: shown as the shortest text of the number.
            Quantity::Fraction(number) => format!("{number}%").parse(),
            Quantity::Text(text) => text.parse(),
            Quantity::Other => Err(Self::ERROR),
        }
        .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_back_what_they_show() {
        for (text, shown) in [
            ("0", "0"),
            ("1023", "1023"),
            ("1k", "1k"),
            ("10m", "10m"),
            ("3g", "3072m"),
        ] {
            assert_eq!(
                text.parse::<SizeBytes>().map(|size| size.to_string()),
                Ok(shown.to_owned())
            );
        }
        for (text, shown) in [
            ("2s", "2s"),
            ("1m", "60s"),
            ("1500ms", "1500ms"),
            ("1d", "86400s"),
        ] {
            assert_eq!(
                text.parse::<Time>().map(|time| time.to_string()),
                Ok(shown.to_owned())
            );
        }
    }

    #[test]
    fn percentages_are_exact_as_numbers_too() {
        for number in ["0.07", "29.29", "5", "99.99"] {
            let read: Percent = serde_json::from_str(number).expect("a percentage");
            assert_eq!(Ok(read), format!("{number}%").parse(), "{number}");
        }
        for number in ["0", "-1", "100.01", "0.001", "1e-7", "null"] {
            assert!(serde_json::from_str::<Percent>(number).is_err(), "{number}");
        }
    }

    #[test]
    fn sizes_and_times_out_of_range_are_refused() {
        for text in [
            "",
            "k",
            "-1",
            "1t",
            "1025g",
            "99999999999999999999",
            "18446744073709551615k",
            "1 k",
        ] {
            assert!(text.parse::<SizeBytes>().is_err(), "{text:?} was accepted");
        }
        for text in [
            "",
            "5",
            "s",
            "1w",
            "3651d",
            "1.5s",
            "-1s",
            "18446744073709551615d",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn shares_are_exact_to_a_hundredth() {
        for text in ["0.01%", "12.5%", "33.33%", "7.05%", "100%"] {
            let share = text.parse::<Percent>().map(|it| it.to_string());
            assert_eq!(share, Ok(text.to_owned()));
        }
        for text in [
            "", "%", "0%", "0.00%", "100.01%", "1", "1.234%", "-1%", "1.%", ".5%",
        ] {
            assert!(text.parse::<Percent>().is_err(), "{text:?} was accepted");
        }
    }
}
