//! Values with their names.

use std::borrow::Cow;

use super::histogram::Counts;

/// How the values of a metric behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only rises, but for a start anew.
    Counter,
    /// As a counter, of nginx's own: it may have begun long before the agent.
    History,
    /// Rises and falls.
    Gauge,
    /// How many values fell into which range.
    Histogram,
}

/// A metric and its values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    pub(super) samples: Vec<Sample>,
}

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: Vec<(&'static str, Cow<'static, str>)>,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Counts(Counts),
}

/// The values of one metric while they are put together.
#[derive(Debug, Default)]
pub(super) struct Samples(pub(super) Vec<Sample>);

impl Samples {
    /// The one value of a metric without labels.
    pub(super) fn is(&mut self, value: impl Number) {
        self.with([], value);
    }

    /// A value with labels.
    pub(super) fn with<const N: usize>(
        &mut self,
        labels: [(&'static str, Cow<'static, str>); N],
        value: impl Number,
    ) {
        self.0.push(Sample {
            labels: labels.into(),
            value: Value::Number(value.number()),
        });
    }

    /// A histogram with labels.
    pub(super) fn counts<const N: usize>(
        &mut self,
        labels: [(&'static str, Cow<'static, str>); N],
        counts: Counts,
    ) {
        self.0.push(Sample {
            labels: labels.into(),
            value: Value::Counts(counts),
        });
    }
}

/// What can be told as a number; above 2^53 it is told rounded.
pub(super) trait Number {
    fn number(self) -> f64;
}

impl Number for f64 {
    fn number(self) -> f64 {
        self
    }
}

impl Number for u64 {
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for usize {
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for bool {
    fn number(self) -> f64 {
        f64::from(u8::from(self))
    }
}
