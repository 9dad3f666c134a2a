//! The transport contract: the pair in memory keeps it, and every saboteur is caught.

#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

mod saboteurs;

use async_trait::async_trait;
use bytes::Bytes;
use nxmesh_core::{
    contract::transport::Credentials,
    memory::{Incoming, MasterSession, MemoryMaster, MemoryTransport, Report, memory_transport},
    testkit::transport::{Peer, Rig, credentials},
    wire::{AgentMessage, MasterMessage, RegisterAgentRequest, RegisterAgentResponse},
};

struct InMemory(MemoryMaster);

impl InMemory {
    async fn next(&mut self) -> Incoming {
        self.0.accept().await.expect("a call")
    }
}

#[async_trait]
impl Rig for InMemory {
    type Subject = MemoryTransport;
    type Peer = Master;

    async fn start() -> (Self, MemoryTransport) {
        let (transport, master) = memory_transport();
        (Self(master), transport)
    }

    async fn enrolment(
        &mut self,
        answer: Result<RegisterAgentResponse, String>,
    ) -> RegisterAgentRequest {
        let Incoming::Enrolment(enrolment) = self.next().await else {
            panic!("an enrolment was expected");
        };
        let request = enrolment.request.clone();
        match answer {
            Ok(response) => enrolment.accept(response),
            Err(reason) => enrolment.refuse(&reason),
        }
        request
    }

    async fn session(&mut self, credentials: &Credentials) -> Master {
        let Incoming::Session(opening) = self.next().await else {
            panic!("a session was expected");
        };
        assert_eq!(opening.credentials.agent_id, credentials.agent_id);
        assert_eq!(opening.credentials.key_id, credentials.key_id);
        Master(opening.accept())
    }

    async fn refused_session(&mut self, reason: &str) {
        let Incoming::Session(opening) = self.next().await else {
            panic!("a session was expected");
        };
        opening.refuse(reason);
    }

    async fn bundle(&mut self, content: Bytes) -> Bytes {
        let Incoming::Bundle(request) = self.next().await else {
            panic!("a fetch was expected");
        };
        let digest = request.digest.clone();
        request.answer(content);
        digest
    }

    async fn report(&mut self, answer: Result<(), String>) -> Report {
        let Incoming::Report(reported) = self.next().await else {
            panic!("a report was expected");
        };
        assert_eq!(reported.credentials.key_id, credentials().key_id);
        let report = reported.report.clone();
        match answer {
            Ok(()) => reported.accept(),
            Err(reason) => reported.refuse(&reason),
        }
        report
    }
}

struct Master(MasterSession);

#[async_trait]
impl Peer for Master {
    fn seal(&mut self, message: MasterMessage) -> Bytes {
        self.0.seal(message)
    }

    async fn send_frame(&mut self, frame: Bytes) {
        // The agent may have gone.
        drop(self.0.send_frame(frame).await);
    }

    async fn receive(&mut self) -> Option<AgentMessage> {
        self.0.receive().await.expect("the agent's own message")
    }

    async fn close(self) {}

    async fn vanish(self) {
        self.0.abort();
    }
}

nxmesh_core::transport_conformance!(InMemory);

#[tokio::test]
async fn without_a_master_the_agent_is_told_so() {
    use nxmesh_core::contract::transport::{Transport as _, TransportError};

    let (transport, mut master) = memory_transport();
    let call = transport.enrol(RegisterAgentRequest::default());
    let unanswered = async { drop(master.accept().await) };
    let (refused, ()) = futures_util::future::join(call, unanswered).await;
    assert!(matches!(refused, Err(TransportError::Unreachable { .. })));
    drop(master);
    let refused = transport.enrol(RegisterAgentRequest::default()).await;
    assert!(matches!(refused, Err(TransportError::Unreachable { .. })));
}
