//! The text that Prometheus reads (Prometheus, "Exposition formats", 0.0.4).

use std::{borrow::Cow, fmt::Write as _};

use super::sample::{Family, Kind, Sample, Value};

/// The `Content-Type` of it.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let Family { name, help, .. } = family;
        let kind = match family.kind {
            Kind::Counter | Kind::History => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        text += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for sample in &family.samples {
            write(&mut text, name, sample);
        }
    }
    text
}

fn write(text: &mut String, name: &str, sample: &Sample) {
    match &sample.value {
        Value::Number(number) => line(text, name, "", sample, None, *number),
        Value::Counts(counts) => {
            for (bound, count) in counts.up_to() {
                let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
                line(text, name, "_bucket", sample, Some(&bound), count as f64);
            }
            line(text, name, "_sum", sample, None, counts.sum());
            line(text, name, "_count", sample, None, counts.count() as f64);
        }
    }
}

fn line(
    text: &mut String,
    name: &str,
    suffix: &str,
    sample: &Sample,
    bound: Option<&str>,
    number: f64,
) {
    *text += name;
    *text += suffix;
    let labels = sample
        .labels
        .iter()
        .map(|(label, value)| (*label, &**value));
    let labels = labels.chain(bound.map(|bound| ("le", bound)));
    let mut between = '{';
    for (label, value) in labels {
        // Writing to a string cannot fail.
        write!(text, "{between}{label}=\"{}\"", escaped(value)).unwrap_or_default();
        between = ',';
    }
    if between == ',' {
        text.push('}');
    }
    writeln!(text, " {number}").unwrap_or_default();
}

fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return value.into();
    }
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{histogram::Counts, sample::Samples};

    #[test]
    fn values_look_as_prometheus_reads_them() {
        let mut samples = Samples::default();
        samples.is(3_u64);
        samples.with([("name", "a\"b\\c\nd".into())], 0.25);
        let mut counts = Counts::default();
        counts.add(0.002);
        samples.counts([("step", "check".into())], counts);
        let family = Family {
            name: "x_total",
            kind: Kind::Counter,
            help: "Some.",
            samples: samples.0,
        };
        let told = text(&[family]);
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "# HELP x_total Some.",
                "# TYPE x_total counter",
                "x_total 3",
                r#"x_total{name="a\"b\\c\nd"} 0.25"#,
                r#"x_total_bucket{step="check",le="0.001"} 0"#,
            ]
        );
        let infinite = r#"x_total_bucket{step="check",le="+Inf"} 1"#;
        assert_eq!(lines[lines.len() - 3], infinite);
        assert_eq!(lines[lines.len() - 1], r#"x_total_count{step="check"} 1"#);
    }
}
