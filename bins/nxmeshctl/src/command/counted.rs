//! What an agent counted, for people.

use nxmesh_core::{api::MetricsView, model::AgentMetrics};

use crate::output;

/// Lines of `describe agent`.
pub(crate) fn lines(metrics: &MetricsView) -> Vec<String> {
    let figures = &metrics.figures;
    let mut lines = Vec::new();
    if let Some(rate) = metrics.requests_per_minute {
        let rate = rate as f64 / 60.0;
        lines.push(format!("requests   {rate:.1} a second"));
    }
    lines.extend(responses(figures));
    lines.push(format!(
        "applies    {}",
        listed(&[
            ("applied", figures.applies_applied),
            ("changed nothing", figures.applies_unchanged),
            ("rejected", figures.applies_rejected),
            ("rolled back", figures.applies_rolled_back),
            ("held back in part", figures.applies_held_back),
        ])
    ));
    lines.push(format!(
        "reloads    {}",
        listed(&[
            ("confirmed", figures.reloads_confirmed),
            ("failed", figures.reloads_failed),
            ("workers", figures.workers),
            ("draining", figures.draining_workers),
        ])
    ));
    let told = output::age(metrics.at);
    lines.push(format!(
        "           counted since its start, told {told} ago"
    ));
    lines
}

/// By class; nothing where requests are not counted.
fn responses(figures: &AgentMetrics) -> Option<String> {
    figures.responses_2xx?;
    let classes = listed(&[
        ("1xx", figures.responses_1xx),
        ("2xx", figures.responses_2xx),
        ("3xx", figures.responses_3xx),
        ("4xx", figures.responses_4xx),
        ("5xx", figures.responses_5xx),
    ]);
    Some(format!("responses  {classes}"))
}

/// What is not known is left out.
fn listed(figures: &[(&str, Option<u64>)]) -> String {
    let known = figures.iter().filter_map(|(name, figure)| {
        let figure = (*figure)?;
        Some(format!("{figure} {name}"))
    });
    known.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_shown() {
        let mut metrics = MetricsView {
            requests_per_minute: Some(750),
            figures: AgentMetrics {
                responses_2xx: Some(7),
                responses_5xx: Some(0),
                applies_applied: Some(2),
                reloads_confirmed: Some(3),
                ..AgentMetrics::default()
            },
            ..MetricsView::default()
        };
        let shown = lines(&metrics);
        assert_eq!(shown[0], "requests   12.5 a second");
        assert_eq!(shown[1], "responses  7 2xx, 0 5xx");
        assert_eq!(shown[2], "applies    2 applied");
        assert_eq!(shown[3], "reloads    3 confirmed");
        metrics.figures.responses_2xx = None;
        metrics.requests_per_minute = None;
        assert!(lines(&metrics)[0].starts_with("applies"));
    }
}
