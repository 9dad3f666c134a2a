//! Conformance suites, saboteurs and sample models.
