//! One broken transport per clause; the clause's test has to fail on it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nxmesh_core::{
    contract::transport::{
        Credentials, Session, SessionReceiver, SessionSender, Transport, TransportError,
    },
    memory::{MemoryTransport, Report},
    testkit::{
        patience::within,
        transport::{self as suite, Peer, Rig},
    },
    wire::{
        AgentMessage, HealthReport, MasterMessage, MetricsBatch, RegisterAgentRequest,
        RegisterAgentResponse, agent_message, master_message,
    },
};
use prost::Message as _;

use crate::{InMemory, Master};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Takes part of an enrolment's answer.
    ForgetsTheAuthority,
    /// Says that a master that refuses cannot be reached.
    HidesRefusals,
    /// Loses every hundredth message and says nothing.
    LosesSome,
    /// Brings every hundredth message twice.
    DoublesSome,
    /// Writes the messages anew.
    Rewrites,
    /// Cuts what is long.
    Truncates,
    /// Goes on without a master.
    NeverEnds,
    /// Takes whatever can be decoded.
    ChecksNothing,
    /// Leaves the line open when it is dropped.
    LeaksSessions,
    /// Leaves out what reports say.
    EmptiesReports,
}

#[derive(Debug)]
struct Sabotaged {
    fault: Fault,
    inner: MemoryTransport,
}

#[async_trait]
impl Transport for Sabotaged {
    fn backend(&self) -> &'static str {
        "sabotaged"
    }

    async fn enrol(
        &self,
        request: RegisterAgentRequest,
    ) -> Result<RegisterAgentResponse, TransportError> {
        let mut response = self.hide(self.inner.enrol(request).await)?;
        if self.fault == Fault::ForgetsTheAuthority {
            response.master_ca.clear();
        }
        Ok(response)
    }

    async fn connect(&self, credentials: &Credentials) -> Result<Session, TransportError> {
        let Session { sender, receiver } = self.hide(self.inner.connect(credentials).await)?;
        let (fault, count) = (self.fault, 0);
        Ok(Session {
            sender: Box::new(Sender {
                fault,
                inner: Some(sender),
                count,
            }),
            receiver: Box::new(Receiver {
                fault,
                inner: Some(receiver),
                count,
                again: None,
            }),
        })
    }

    async fn fetch_bundle(
        &self,
        credentials: &Credentials,
        digest: Bytes,
        size_bytes: u64,
    ) -> Result<Bytes, TransportError> {
        let content = self
            .inner
            .fetch_bundle(credentials, digest, size_bytes)
            .await?;
        Ok(match self.fault {
            Fault::Truncates => content.slice(..content.len().min(32 << 10)),
            _ => content,
        })
    }

    async fn report_health(
        &self,
        credentials: &Credentials,
        mut report: HealthReport,
    ) -> Result<(), TransportError> {
        if self.fault == Fault::EmptiesReports {
            report = HealthReport::default();
        }
        self.hide(self.inner.report_health(credentials, report).await)
    }

    async fn report_metrics(
        &self,
        credentials: &Credentials,
        batch: MetricsBatch,
    ) -> Result<(), TransportError> {
        self.hide(self.inner.report_metrics(credentials, batch).await)
    }
}

impl Sabotaged {
    fn hide<T>(&self, result: Result<T, TransportError>) -> Result<T, TransportError> {
        result.map_err(|error| match self.fault {
            Fault::HidesRefusals => TransportError::Unreachable {
                url: "memory:".to_owned(),
                source: Box::new(error),
            },
            _ => error,
        })
    }
}

#[derive(Debug)]
struct Sender {
    fault: Fault,
    inner: Option<Box<dyn SessionSender>>,
    count: usize,
}

#[async_trait]
impl SessionSender for Sender {
    async fn send(&mut self, mut message: AgentMessage) -> Result<(), TransportError> {
        self.count += 1;
        let inner = self.inner.as_mut().expect("there until dropped");
        match self.fault {
            Fault::LosesSome if self.count.is_multiple_of(100) => return Ok(()),
            Fault::DoublesSome if self.count.is_multiple_of(100) => {
                inner.send(message.clone()).await?
            }
            Fault::Rewrites => message.timestamp = 0,
            Fault::Truncates => {
                if let Some(agent_message::Payload::Logs(logs)) = &mut message.payload {
                    logs.lines[0].text.truncate(64 << 10);
                }
            }
            _ => {}
        }
        inner.send(message).await
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.fault == Fault::LeaksSessions {
            std::mem::forget(self.inner.take());
        }
    }
}

#[derive(Debug)]
struct Receiver {
    fault: Fault,
    inner: Option<Box<dyn SessionReceiver>>,
    count: usize,
    again: Option<MasterMessage>,
}

#[async_trait]
impl SessionReceiver for Receiver {
    async fn receive(&mut self) -> Result<Option<MasterMessage>, TransportError> {
        if let Some(again) = self.again.take() {
            return Ok(Some(again));
        }
        self.count += 1;
        let inner = self.inner.as_mut().expect("there until dropped");
        let mut received = inner.receive().await;
        match (self.fault, &mut received) {
            (Fault::LosesSome, _) if self.count.is_multiple_of(100) => {
                received = inner.receive().await
            }
            (Fault::DoublesSome, Ok(message)) if self.count.is_multiple_of(100) => {
                self.again.clone_from(message);
            }
            (Fault::Truncates, Ok(Some(message))) => {
                if let Some(master_message::Payload::ConfigUpdate(update)) = &mut message.payload {
                    update.config_id.truncate(64 << 10);
                }
            }
            (Fault::NeverEnds, Err(_) | Ok(None)) => received = Ok(Some(MasterMessage::default())),
            _ => {}
        }
        received
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.fault == Fault::LeaksSessions {
            std::mem::forget(self.inner.take());
        }
    }
}

/// Seals anew whatever can be decoded, so that the agent sees what one would
/// that does not check.
struct Accomplice {
    fault: Fault,
    inner: Master,
}

#[async_trait]
impl Peer for Accomplice {
    fn seal(&mut self, message: MasterMessage) -> Bytes {
        match self.fault {
            Fault::ChecksNothing => message.encode_to_vec().into(),
            _ => self.inner.seal(message),
        }
    }

    async fn send_frame(&mut self, frame: Bytes) {
        let frame = match self.fault {
            Fault::ChecksNothing => {
                let message = MasterMessage::decode(frame).unwrap_or_default();
                self.inner.seal(message)
            }
            _ => frame,
        };
        self.inner.send_frame(frame).await;
    }

    async fn receive(&mut self) -> Option<AgentMessage> {
        if self.fault != Fault::LeaksSessions {
            return self.inner.receive().await;
        }
        // An end that does not come soon counts as something else that came.
        let soon = within(Duration::from_secs(1), self.inner.receive()).await;
        soon.unwrap_or_else(|| Some(AgentMessage::default()))
    }

    async fn close(self) {
        self.inner.close().await;
    }

    async fn vanish(self) {
        self.inner.vanish().await;
    }
}

macro_rules! saboteurs {
    ($($name:ident: $fault:ident fails $clause:ident;)+) => {$(
        #[tokio::test]
        #[should_panic]
        async fn $name() {
            struct Saboteur(InMemory);

            #[async_trait]
            impl Rig for Saboteur {
                type Subject = Sabotaged;
                type Peer = Accomplice;

                async fn start() -> (Self, Sabotaged) {
                    let (rig, inner) = InMemory::start().await;
                    (Self(rig), Sabotaged { fault: Fault::$fault, inner })
                }

                async fn enrolment(
                    &mut self,
                    answer: Result<RegisterAgentResponse, String>,
                ) -> RegisterAgentRequest {
                    self.0.enrolment(answer).await
                }

                async fn session(&mut self, credentials: &Credentials) -> Accomplice {
                    let inner = self.0.session(credentials).await;
                    Accomplice { fault: Fault::$fault, inner }
                }

                async fn refused_session(&mut self, reason: &str) {
                    self.0.refused_session(reason).await;
                }

                async fn bundle(&mut self, content: Bytes) -> Bytes {
                    self.0.bundle(content).await
                }

                async fn report(&mut self, answer: Result<(), String>) -> Report {
                    self.0.report(answer).await
                }
            }

            suite::$clause::<Saboteur>().await;
        }
    )+};
}

saboteurs! {
    one_that_forgets_the_authority: ForgetsTheAuthority fails an_enrolment_hands_over_the_identity;
    one_that_hides_refused_tokens: HidesRefusals fails a_refused_enrolment_is_not_retried;
    one_that_hides_refused_sessions: HidesRefusals fails a_refused_session_is_told;
    one_that_loses_reports: LosesSome fails messages_to_the_master_arrive_once_in_order;
    one_that_doubles_reports: DoublesSome fails messages_to_the_master_arrive_once_in_order;
    one_that_loses_updates: LosesSome fails messages_to_the_agent_arrive_once_in_order;
    one_that_doubles_updates: DoublesSome fails messages_to_the_agent_arrive_once_in_order;
    one_that_rewrites: Rewrites fails the_transport_says_who_speaks;
    one_that_truncates_messages: Truncates fails a_large_message_arrives_whole;
    one_that_truncates_bundles: Truncates fails a_bundle_arrives_whole;
    one_that_never_ends: NeverEnds fails a_vanished_master_ends_the_session;
    one_that_misses_the_goodbye: NeverEnds fails a_goodbye_ends_the_session;
    one_that_takes_forgeries: ChecksNothing fails a_forged_message_is_not_received;
    one_that_takes_replays: ChecksNothing fails a_replayed_message_is_not_received;
    one_that_takes_any_order: ChecksNothing fails reordered_messages_are_not_received;
    one_that_overlooks_gaps: ChecksNothing fails a_gap_is_noticed;
    one_that_takes_frames_of_others: ChecksNothing fails a_frame_of_another_session_is_not_received;
    one_that_leaks_sessions: LeaksSessions fails dropping_the_session_closes_it_for_the_master;
    one_that_empties_reports: EmptiesReports fails reports_are_told_without_a_session;
    one_that_hides_refused_reports: HidesRefusals fails a_refused_report_is_not_retried;
}
