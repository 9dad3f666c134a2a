//! Several masters, of which one is enough.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use nxmesh_core::{
    contract::transport::{Credentials, Session, Transport, TransportError},
    wire::{HealthReport, MetricsBatch, RegisterAgentRequest, RegisterAgentResponse},
};
use tracing::warn;

use super::backoff::random_fraction;

/// Reaches one of several masters that lead the same fleet.
///
/// Each agent has them in a random order of its own, made at its start, so
/// that a fleet spreads over them and, when one goes, over all the others. A
/// master that cannot be reached is followed by the next at once; the error
/// of the last is told only after a whole round. A session that ended is
/// followed by one with the next master. A refusal is passed on, and the next
/// attempt begins with the next master.
#[derive(Debug)]
pub struct FailoverTransport {
    masters: Vec<Arc<dyn Transport>>,
    /// That of the newest session or enrolment.
    current: AtomicUsize,
    /// Where the next attempt begins.
    next: AtomicUsize,
}

impl FailoverTransport {
    /// Joins the ways to several masters; `None` if there are none.
    #[must_use]
    pub fn new(mut masters: Vec<Arc<dyn Transport>>) -> Option<Self> {
        for place in (1..masters.len()).rev() {
            masters.swap(place, random_below(place + 1));
        }
        (!masters.is_empty()).then(|| Self {
            masters,
            current: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        })
    }

    fn current(&self) -> &dyn Transport {
        &*self.masters[self.current.load(Ordering::Relaxed)]
    }

    /// Tries one after the other, each once.
    async fn first<'a, T, F>(
        &'a self,
        attempt: impl Fn(&'a dyn Transport) -> F + Send,
    ) -> Result<T, TransportError>
    where
        F: Future<Output = Result<T, TransportError>> + Send,
    {
        let count = self.masters.len();
        let begin = self.next.load(Ordering::Relaxed);
        let mut failed = None;
        for place in (begin..begin + count).map(|it| it % count) {
            let outcome = attempt(&*self.masters[place]).await;
            match outcome {
                Err(error @ TransportError::Unreachable { .. }) => {
                    if let Some(earlier) = failed.replace(error) {
                        note(&earlier);
                    }
                }
                outcome => {
                    self.current.store(place, Ordering::Relaxed);
                    self.next.store((place + 1) % count, Ordering::Relaxed);
                    if let Some(earlier) = failed {
                        note(&earlier);
                    }
                    return outcome;
                }
            }
        }
        // After a pause from where this round began.
        Err(failed.unwrap_or(TransportError::Closed))
    }
}

fn note(error: &TransportError) {
    let reason = std::error::Error::source(error).map(ToString::to_string);
    warn!(%error, reason, "the next master is tried");
}

/// Evenly spread from 0 to below `limit`.
fn random_below(limit: usize) -> usize {
    // Far fewer than 2^32 masters: truncation keeps it below.
    ((random_fraction() * limit as f64) as usize).min(limit - 1)
}

#[async_trait]
impl Transport for FailoverTransport {
    /// That of the master in use.
    fn backend(&self) -> &'static str {
        self.current().backend()
    }

    async fn enrol(
        &self,
        request: RegisterAgentRequest,
    ) -> Result<RegisterAgentResponse, TransportError> {
        self.first(|master| master.enrol(request.clone())).await
    }

    async fn connect(&self, credentials: &Credentials) -> Result<Session, TransportError> {
        self.first(|master| master.connect(credentials)).await
    }

    /// From the master of the session, which made the offer.
    async fn fetch_bundle(
        &self,
        credentials: &Credentials,
        digest: Bytes,
        size_bytes: u64,
    ) -> Result<Bytes, TransportError> {
        let master = self.current();
        master.fetch_bundle(credentials, digest, size_bytes).await
    }

    async fn report_health(
        &self,
        credentials: &Credentials,
        report: HealthReport,
    ) -> Result<(), TransportError> {
        self.first(|master| master.report_health(credentials, report.clone()))
            .await
    }

    async fn report_metrics(
        &self,
        credentials: &Credentials,
        batch: MetricsBatch,
    ) -> Result<(), TransportError> {
        self.first(|master| master.report_metrics(credentials, batch.clone()))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::atomic::AtomicBool};

    use nxmesh_core::testkit::transport::credentials;

    use super::*;

    /// A master that is away, or refuses with its number.
    #[derive(Debug)]
    struct Numbered {
        number: usize,
        away: Arc<AtomicBool>,
    }

    #[async_trait]
    impl Transport for Numbered {
        fn backend(&self) -> &'static str {
            "numbered"
        }

        async fn enrol(
            &self,
            _: RegisterAgentRequest,
        ) -> Result<RegisterAgentResponse, TransportError> {
            if self.away.load(Ordering::Relaxed) {
                return Err(TransportError::Unreachable {
                    url: self.number.to_string(),
                    source: "away".into(),
                });
            }
            Err(TransportError::Refused {
                reason: self.number.to_string(),
            })
        }

        async fn connect(&self, _: &Credentials) -> Result<Session, TransportError> {
            self.enrol(RegisterAgentRequest::default()).await?;
            Err(TransportError::Closed)
        }

        async fn fetch_bundle(
            &self,
            _: &Credentials,
            _: Bytes,
            _: u64,
        ) -> Result<Bytes, TransportError> {
            Ok(self.number.to_string().into())
        }

        async fn report_health(
            &self,
            _: &Credentials,
            _: HealthReport,
        ) -> Result<(), TransportError> {
            let answer = self.enrol(RegisterAgentRequest::default()).await;
            answer.map(drop)
        }

        async fn report_metrics(
            &self,
            _: &Credentials,
            _: MetricsBatch,
        ) -> Result<(), TransportError> {
            let answer = self.enrol(RegisterAgentRequest::default()).await;
            answer.map(drop)
        }
    }

    fn three() -> (FailoverTransport, Vec<Arc<AtomicBool>>) {
        let away: Vec<Arc<AtomicBool>> = (0..3).map(|_| Arc::default()).collect();
        let masters = away.iter().cloned().enumerate();
        let masters = masters.map(|(number, away)| Arc::new(Numbered { number, away }) as _);
        (FailoverTransport::new(masters.collect()).unwrap(), away)
    }

    async fn asked(transport: &FailoverTransport) -> Option<usize> {
        let credentials = credentials();
        match transport.connect(&credentials).await.unwrap_err() {
            TransportError::Refused { reason } => {
                let fetched = transport.fetch_bundle(&credentials, Bytes::new(), 0).await;
                assert_eq!(fetched.unwrap(), reason);
                Some(reason.parse().unwrap())
            }
            TransportError::Unreachable { .. } => None,
            other => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn masters_take_turns_and_those_that_are_away_are_passed_over() {
        let (transport, away) = three();
        let mut order = Vec::new();
        for _ in 0..3 {
            order.push(asked(&transport).await.unwrap());
        }
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 3, "{order:?}");
        away[order[0]].store(true, Ordering::Relaxed);
        away[order[1]].store(true, Ordering::Relaxed);
        for _ in 0..2 {
            assert_eq!(asked(&transport).await, Some(order[2]));
        }
        away[order[2]].store(true, Ordering::Relaxed);
        assert_eq!(asked(&transport).await, None);
        away[order[1]].store(false, Ordering::Relaxed);
        assert_eq!(asked(&transport).await, Some(order[1]));
    }

    #[tokio::test]
    async fn agents_do_not_all_begin_with_the_same() {
        let mut first = BTreeSet::new();
        for _ in 0..200 {
            first.insert(asked(&three().0).await);
        }
        assert_eq!(first.len(), 3, "{first:?}");
        assert!(FailoverTransport::new(Vec::new()).is_none());
    }
}
