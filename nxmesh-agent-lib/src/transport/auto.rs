//! gRPC where it gets through, else WebSocket, and back.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use nxmesh_core::{
    contract::transport::{Credentials, Session, SessionReceiver, Transport, TransportError},
    wire::{
        HealthReport, MasterMessage, MetricsBatch, RegisterAgentRequest, RegisterAgentResponse,
    },
};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::{Backoff, failure, grpc::GrpcTransport, websocket::WebSocketTransport};

/// Reaches a master over gRPC, or over WebSocket while something on the way
/// lets no HTTP/2 through.
///
/// It changes to WebSocket when gRPC fails in a way that such a thing makes,
/// and WebSocket works; a master that is not there, not trusted or refuses is
/// no reason. A gRPC session that brought nothing, not even a welcome, is one:
/// some boxes hold streams back. While on WebSocket, gRPC is tried now and
/// then; once it answers, the session ends and the next is gRPC's.
#[derive(Debug)]
pub struct AutoTransport {
    grpc: Arc<GrpcTransport>,
    websocket: WebSocketTransport,
    route: Arc<Route>,
}

/// Which way is taken, and how it came to that.
#[derive(Debug)]
struct Route {
    /// Pauses between looks at gRPC.
    pauses: Backoff,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    websocket: bool,
    /// Times in a row that gRPC was of no use.
    failures: u32,
    /// Of the newest gRPC session: whether it brought anything, be it its end.
    told: Option<Arc<AtomicBool>>,
}

impl AutoTransport {
    /// Pauses between looks at gRPC while on WebSocket, unless given: from a
    /// minute to an hour, half of it at random.
    pub const PAUSES: Backoff = Backoff {
        first: Duration::from_secs(60),
        cap: Duration::from_secs(3600),
    };

    /// Joins two ways to the same master.
    #[must_use]
    pub fn new(grpc: GrpcTransport, websocket: WebSocketTransport, pauses: Backoff) -> Self {
        let route = Route {
            pauses,
            taken: Mutex::default(),
        };
        Self {
            grpc: Arc::new(grpc),
            websocket,
            route: Arc::new(route),
        }
    }

    async fn by_websocket(&self, credentials: &Credentials) -> Result<Session, TransportError> {
        let Session { sender, receiver } = self.websocket.connect(credentials).await?;
        let mut looking = JoinSet::new();
        looking.spawn(look_for_grpc(
            Arc::clone(&self.grpc),
            credentials.clone(),
            Arc::clone(&self.route),
        ));
        let receiver = Box::new(UntilGrpc {
            receiver: Some(receiver),
            looking,
        });
        Ok(Session { sender, receiver })
    }

    async fn by_grpc(&self, credentials: &Credentials) -> Result<Session, TransportError> {
        let Session { sender, receiver } = self.grpc.connect(credentials).await?;
        let told = Arc::new(AtomicBool::new(false));
        self.route.taken().told = Some(Arc::clone(&told));
        let receiver = Box::new(Telling {
            receiver,
            told,
            route: Arc::clone(&self.route),
        });
        Ok(Session { sender, receiver })
    }
}

impl Route {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pause(&self) -> Duration {
        let failures = self.taken().failures.max(1);
        self.pauses.ceiling(failures) / 2 + self.pauses.delay(failures) / 2
    }

    /// WebSocket from now on.
    fn leave_grpc(&self, reason: &dyn fmt::Display) {
        let mut taken = self.taken();
        taken.websocket = true;
        taken.failures = taken.failures.saturating_add(1);
        drop(taken);
        warn!(
            %reason,
            "gRPC does not get through to the master, WebSocket does; gRPC is tried again later"
        );
    }
}

#[async_trait]
impl Transport for AutoTransport {
    /// That of the way taken.
    fn backend(&self) -> &'static str {
        if self.route.taken().websocket {
            self.websocket.backend()
        } else {
            self.grpc.backend()
        }
    }

    async fn enrol(
        &self,
        request: RegisterAgentRequest,
    ) -> Result<RegisterAgentResponse, TransportError> {
        let error = match self.grpc.enrol(request.clone()).await {
            Err(error) if failure::is_about_protocol(&error) => error,
            outcome => return outcome,
        };
        let enrolled = self.websocket.enrol(request).await?;
        self.route.leave_grpc(&reason(&error));
        Ok(enrolled)
    }

    async fn connect(&self, credentials: &Credentials) -> Result<Session, TransportError> {
        let (websocket, told) = {
            let mut taken = self.route.taken();
            (taken.websocket, taken.told.take())
        };
        if websocket {
            return self.by_websocket(credentials).await.inspect_err(|_| {
                // The way may be another by now: the next look begins with gRPC.
                self.route.taken().websocket = false;
            });
        }
        let is_deaf = told.is_some_and(|told| !told.load(Ordering::Relaxed));
        let error = if is_deaf {
            "a gRPC session brought nothing, not even a welcome".to_owned()
        } else {
            match self.by_grpc(credentials).await {
                Err(error) if failure::is_about_protocol(&error) => reason(&error),
                outcome => return outcome,
            }
        };
        let session = self.by_websocket(credentials).await?;
        self.route.leave_grpc(&error);
        Ok(session)
    }

    async fn fetch_bundle(
        &self,
        credentials: &Credentials,
        digest: Bytes,
        size_bytes: u64,
    ) -> Result<Bytes, TransportError> {
        let websocket = self.route.taken().websocket;
        let way: &dyn Transport = if websocket {
            &self.websocket
        } else {
            &*self.grpc
        };
        way.fetch_bundle(credentials, digest, size_bytes).await
    }

    async fn report_health(
        &self,
        credentials: &Credentials,
        report: HealthReport,
    ) -> Result<(), TransportError> {
        if !self.route.taken().websocket {
            match self.grpc.report_health(credentials, report.clone()).await {
                Err(error) if failure::is_about_protocol(&error) => {}
                outcome => return outcome,
            }
        }
        self.websocket.report_health(credentials, report).await
    }

    async fn report_metrics(
        &self,
        credentials: &Credentials,
        batch: MetricsBatch,
    ) -> Result<(), TransportError> {
        if !self.route.taken().websocket {
            match self.grpc.report_metrics(credentials, batch.clone()).await {
                Err(error) if failure::is_about_protocol(&error) => {}
                outcome => return outcome,
            }
        }
        self.websocket.report_metrics(credentials, batch).await
    }
}

fn reason(error: &TransportError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

/// Returns once gRPC opens a stream: the master knows it for no session before
/// a hello comes, so nothing is disturbed by it.
async fn look_for_grpc(grpc: Arc<GrpcTransport>, credentials: Credentials, route: Arc<Route>) {
    loop {
        tokio::time::sleep(route.pause()).await;
        match grpc.connect(&credentials).await {
            Ok(_) => break,
            Err(error) => {
                debug!(reason = reason(&error), "gRPC still does not get through");
                let mut taken = route.taken();
                taken.failures = taken.failures.saturating_add(1);
            }
        }
    }
    info!("gRPC gets through to the master again; the session moves there");
    route.taken().websocket = false;
}

/// A session over WebSocket, which ends when gRPC works again.
#[derive(Debug)]
struct UntilGrpc {
    /// `None` once it has ended for gRPC.
    receiver: Option<Box<dyn SessionReceiver>>,
    looking: JoinSet<()>,
}

#[async_trait]
impl SessionReceiver for UntilGrpc {
    async fn receive(&mut self) -> Result<Option<MasterMessage>, TransportError> {
        let Some(receiver) = &mut self.receiver else {
            return Err(TransportError::Closed);
        };
        tokio::select! {
            message = receiver.receive() => return message,
            () = found(&mut self.looking) => {}
        }
        self.receiver = None;
        Err(TransportError::Closed)
    }
}

async fn found(looking: &mut JoinSet<()>) {
    match looking.join_next().await {
        Some(Ok(())) => {}
        // It failed; the session goes on as it is.
        _ => std::future::pending().await,
    }
}

/// A session over gRPC that notes whether anything comes of it.
#[derive(Debug)]
struct Telling {
    receiver: Box<dyn SessionReceiver>,
    told: Arc<AtomicBool>,
    route: Arc<Route>,
}

#[async_trait]
impl SessionReceiver for Telling {
    async fn receive(&mut self) -> Result<Option<MasterMessage>, TransportError> {
        let message = self.receiver.receive().await;
        if !self.told.swap(true, Ordering::Relaxed) && matches!(message, Ok(Some(_))) {
            self.route.taken().failures = 0;
        }
        message
    }
}
