use std::time::Duration;

use bytes::Bytes;
use nxmesh_core::{
    seal::{
        SessionKey,
        request::{AGENT_ID, KEY_ID, NONCE, SIGNATURE, TIMESTAMP},
        stream::{Direction, Sealer},
    },
    wire::{Ack, AgentMessage, CheckResult, HealthReport, agent_message::Payload},
};
use prost::Message as _;
use tonic::{Code, Request, Status};

use super::{
    Hello, Master, NOW, call,
    conversation::{Raw, path, ready, with},
};

const NONCE_A: &str = "aaaaaaaaaaaaaaaa";
const NONCE_B: &str = "bbbbbbbbbbbbbbbb";

async fn report(master: &Master, request: Request<HealthReport>) -> Result<Ack, Status> {
    call(&master.channel(), "ReportHealth", request).await
}

#[tokio::test(start_paused = true)]
async fn unsigned_calls_are_refused() {
    let master = Master::start().await;
    let agent = master.agent(&[]).await;
    let refused = report(&master, Request::new(HealthReport::default()))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    for missing in [AGENT_ID, KEY_ID, TIMESTAMP, NONCE, SIGNATURE] {
        let headers = agent.headers("ReportHealth", b"", NONCE_A);
        let mut request = with(&headers, Request::new(HealthReport::default()));
        request.metadata_mut().remove(missing);
        let refused = report(&master, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().contains(missing), "{refused}");
    }
    let mut grpc = ready(&master.channel()).await.unwrap();
    let request = Request::new(tokio_stream::pending::<Bytes>());
    let path = path("Stream").parse().unwrap();
    let refused = grpc.streaming(request, path, Raw).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn wrongly_signed_calls_are_refused() {
    let master = Master::start().await;
    let agent = master.agent(&[]).await;
    let other = master.agent(&[]).await;
    let body = HealthReport {
        nginx_workers: 3,
        checks: vec![CheckResult {
            name: "http/shop".to_owned(),
            ..CheckResult::default()
        }],
        ..HealthReport::default()
    };
    let good = agent.headers("ReportHealth", &body.encode_to_vec(), NONCE_A);
    let mut forged = vec![];
    let mut wrong_key = agent.clone();
    wrong_key.key = SessionKey::new([7; 32]);
    forged.push(wrong_key.headers("ReportHealth", &body.encode_to_vec(), NONCE_A));
    forged.push(agent.headers("ReportMetrics", &body.encode_to_vec(), NONCE_A));
    forged.push(agent.headers("ReportHealth", b"another body", NONCE_A));
    let change = |edit: fn(&mut nxmesh_core::seal::request::SignedHeaders)| {
        let mut headers = good.clone();
        edit(&mut headers);
        headers
    };
    forged.push(change(|headers| headers.timestamp += 1));
    forged.push(change(|headers| headers.nonce = NONCE_B.to_owned()));
    forged.push(change(|headers| headers.signature = "AAAA".to_owned()));
    forged.push(change(|headers| headers.key_id = "other".to_owned()));
    let mut stolen = good.clone();
    stolen.agent_id = other.id.clone();
    stolen.key_id = other.key_id.clone();
    forged.push(stolen);
    for headers in forged {
        let refused = report(&master, with(&headers, Request::new(body.clone())))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{headers:?}");
    }
    assert!(
        report(&master, with(&good, Request::new(body)))
            .await
            .is_ok()
    );
    let view = master.view(&agent).await;
    assert_eq!(view.last_seen_at, NOW);
    assert_eq!(view.measured.unwrap().checks[0].name, "http/shop");
    let view = master.view(&other).await;
    assert_eq!((view.last_seen_at, view.measured), (0, None));
}

#[tokio::test(start_paused = true)]
async fn replayed_and_dated_calls_are_refused() {
    let master = Master::start().await;
    let agent = master.agent(&[]).await;
    let headers = agent.headers("ReportHealth", b"", NONCE_A);
    let request = || with(&headers, Request::new(HealthReport::default()));
    assert!(report(&master, request()).await.is_ok());
    let replayed = report(&master, request()).await.unwrap_err();
    assert_eq!(replayed.code(), Code::Unauthenticated);
    assert!(replayed.message().contains("heard before"), "{replayed}");
    // Still remembered as long as its timestamp would be taken.
    master.clock.advance(Duration::from_secs(299));
    assert!(report(&master, request()).await.is_err());
    master.clock.advance(Duration::from_secs(2));
    let dated = report(&master, request()).await.unwrap_err();
    assert!(dated.message().contains("five minutes"), "{dated}");

    let ahead = agent.headers_at(NOW + 1000 * 1000, "ReportHealth", b"", NONCE_B);
    let skewed = report(&master, with(&ahead, Request::new(HealthReport::default()))).await;
    assert_eq!(skewed.unwrap_err().code(), Code::Unauthenticated);
}

/// Who is a day off learns the time from the refusal, and only who has the key.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_a_day_off_is_told_the_time() {
    const DAY: u64 = 24 * 3600 * 1000;
    let master = Master::start().await;
    let agent = master.agent(&[]).await;
    let call = |headers| with(&headers, Request::new(HealthReport::default()));
    for (round, dated) in [NOW - DAY, NOW + DAY].into_iter().enumerate() {
        let nonce = format!("{NONCE_A}{round}");
        let headers = agent.headers_at(dated, "ReportHealth", b"", &nonce);
        let refused = report(&master, call(headers)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let told = refused.metadata().get("x-master-time").unwrap();
        let told: u64 = told.to_str().unwrap().parse().unwrap();
        assert_eq!(told, NOW);
        let corrected = agent.headers_at(told, "ReportHealth", b"", &nonce);
        assert!(report(&master, call(corrected.clone())).await.is_ok());
        let replayed = report(&master, call(corrected)).await.unwrap_err();
        assert!(replayed.message().contains("heard before"), "{replayed}");
    }
    let mut stranger = agent.clone();
    stranger.key = SessionKey::new([7; 32]);
    let headers = stranger.headers_at(NOW - DAY, "ReportHealth", b"", NONCE_B);
    let refused = report(&master, call(headers)).await.unwrap_err();
    assert!(refused.metadata().get("x-master-time").is_none());
}

/// Enrolment, streams and calls go on when the master's own clock jumps.
#[tokio::test(start_paused = true)]
async fn a_master_whose_clock_jumps_goes_on() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let headers = agent.headers("ReportHealth", b"", NONCE_A);
    let call = |headers| with(&headers, Request::new(HealthReport::default()));
    assert!(report(&master, call(headers)).await.is_ok());
    let mut session = agent.connect(&master, Hello::fresh()).await;
    master.clock.advance(Duration::from_secs(24 * 3600));
    let revision = master.put("shop", "one").await;
    let update = session.update().await;
    session.apply(&update).await;
    assert!(master.settled(revision).await.done);
    master.agent(&[]).await;
    let now = NOW + 24 * 3600 * 1000;
    let headers = agent.headers_at(now, "ReportHealth", b"", NONCE_A);
    assert!(report(&master, call(headers)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_skewed_clock_does_not_break_streams() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    master.clock.advance(Duration::from_secs(24 * 3600));
    agent.connect(&master, Hello::fresh()).await;
}

/// A frame that is not what the agent sealed ends the session.
#[tokio::test(start_paused = true)]
async fn forged_frames_end_the_session() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    for tampering in 0..4 {
        let mut session = agent.connect(&master, Hello::fresh()).await;
        let message = session.message(Payload::Health(HealthReport::default()));
        let genuine = session.sealer.seal(&message);
        let frames: Vec<Bytes> = match tampering {
            // Replayed.
            0 => vec![genuine.clone(), genuine],
            // One bit flipped.
            1 => {
                let mut changed = genuine.to_vec();
                changed[0] ^= 1;
                vec![changed.into()]
            }
            // Sealed for another session.
            2 => {
                let nonce = Bytes::from_static(&[0; 32]);
                let mut sealer = Sealer::new(agent.key.clone(), nonce, Direction::ToMaster);
                vec![sealer.seal(&message)]
            }
            // Not sealed at all.
            _ => vec![message.encode_to_vec().into()],
        };
        for frame in frames {
            session.frames.send(frame).await.unwrap();
        }
        let ended = session.ended().await;
        assert_eq!(ended.code(), Code::Unauthenticated, "{tampering}: {ended}");
        assert!(!master.view(&agent).await.connected);
    }
}

/// Knowing the opening of a session is not enough to take it over.
#[tokio::test(start_paused = true)]
async fn a_replayed_opening_leads_nowhere() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut genuine = agent.connect(&master, Hello::fresh()).await;
    let headers = agent.headers("Stream", b"", &format!("{:016}", agent.sequence));
    let mut thief = agent.clone();
    thief.key = SessionKey::new([1; 32]);
    let mut replayed = thief.open(&master.channel(), &headers).await.unwrap();
    replayed
        .send(Payload::Register(thief.hello(Hello::fresh())))
        .await;
    assert_eq!(replayed.ended().await.code(), Code::Unauthenticated);
    master.put("shop", "one").await;
    genuine.update().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_message_is_register_and_comes_in_time() {
    let master = Master::start().await;
    let agent = master.agent(&[]).await;
    let open = async |nonce: &str| {
        let headers = agent.headers("Stream", b"", nonce);
        agent.open(&master.channel(), &headers).await.unwrap()
    };
    let mut silent = open(NONCE_A).await;
    assert_eq!(silent.ended().await.code(), Code::DeadlineExceeded);
    let mut hasty = open(NONCE_B).await;
    hasty.heartbeat().await;
    assert_eq!(hasty.ended().await.code(), Code::InvalidArgument);
    let mut foreign = open(NONCE_A).await;
    let message = AgentMessage {
        agent_id: "0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d".to_owned(),
        ..foreign.message(Payload::Health(HealthReport::default()))
    };
    let frame = foreign.sealer.seal(&message);
    foreign.frames.send(frame).await.unwrap();
    assert_eq!(foreign.ended().await.code(), Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_silent_agent_is_given_up() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        session.heartbeat().await;
    }
    assert!(master.view(&agent).await.connected);
    assert_eq!(session.ended().await.code(), Code::DeadlineExceeded);
    assert!(!master.view(&agent).await.connected);
}
