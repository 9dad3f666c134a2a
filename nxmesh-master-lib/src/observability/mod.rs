//! The master's metrics, in one list.

mod fleet;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use self::fleet::FleetSums;
use crate::{auth::LoginError, coordination::Fleet};

/// Everything the master counts, in a registry of its own.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    logins: IntCounterVec,
    agents: IntGaugeVec,
    revision: IntGauge,
    offers: IntCounter,
    sums: FleetSums,
    /// One scrape at a time brings the figures of the fleet up to date.
    scrape: Mutex<()>,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new(
                "nxmesh_master_http_requests_total",
                "Requests answered by the REST interface.",
            ),
            &["method", "route", "status"],
        )?;
        let request_duration = HistogramVec::new(
            HistogramOpts::new(
                "nxmesh_master_http_request_duration_seconds",
                "Time from a request's head to its answer's head.",
            )
            .buckets(vec![
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
            ]),
            &["method", "route"],
        )?;
        let logins = IntCounterVec::new(
            Opts::new(
                "nxmesh_master_logins_total",
                "Attempts to log in, by result.",
            ),
            &["result"],
        )?;
        let agents = IntGaugeVec::new(
            Opts::new("nxmesh_master_agents", "Agents by state."),
            &["state"],
        )?;
        let revision = IntGauge::new(
            "nxmesh_master_revision",
            "The newest revision this master has seen.",
        )?;
        let offers = IntCounter::new(
            "nxmesh_master_offers_sent_total",
            "Configurations offered to agents since the start.",
        )?;
        let build = IntGaugeVec::new(
            Opts::new(
                "nxmesh_master_build_info",
                "Always 1; its label tells the version.",
            ),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(request_duration.clone()))?;
        registry.register(Box::new(logins.clone()))?;
        registry.register(Box::new(agents.clone()))?;
        registry.register(Box::new(revision.clone()))?;
        registry.register(Box::new(offers.clone()))?;
        registry.register(Box::new(build))?;
        Ok(Self {
            sums: FleetSums::new(&registry)?,
            registry,
            requests,
            request_duration,
            logins,
            agents,
            revision,
            offers,
            scrape: Mutex::new(()),
        })
    }

    /// Counts an answered request. `route` is one of the table's, so the number
    /// of series is bounded; `method` is made so here.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let method = match method {
            known @ ("GET" | "PUT" | "POST" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH") => known,
            _ => "other",
        };
        self.requests
            .with_label_values(&[method, route, &status.to_string()])
            .inc();
        self.request_duration
            .with_label_values(&[method, route])
            .observe(took.as_secs_f64());
    }

    /// Counts an attempt to log in.
    pub(crate) fn login(&self, outcome: Result<(), &LoginError>) {
        let result = match outcome {
            Ok(()) => "ok",
            Err(LoginError::Wrong) => "wrong",
            Err(LoginError::Throttled { .. }) => "throttled",
            Err(_) => "error",
        };
        self.logins.with_label_values(&[result]).inc();
    }

    /// All figures in the Prometheus text format.
    pub(crate) fn text(&self, fleet: &Fleet) -> Result<String, prometheus::Error> {
        let _one_at_a_time = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = fleet.counts();
        for (state, count) in [
            ("enrolled", counts.agents),
            ("connected", counts.connected),
            ("in_sync", counts.in_sync),
            ("failed", counts.failed),
        ] {
            self.agents.with_label_values(&[state]).set(gauge(count));
        }
        self.sums.set(&fleet.metrics());
        self.revision.set(gauge(fleet.head().revision));
        self.offers
            .inc_by(counts.offers_sent.saturating_sub(self.offers.get()));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
