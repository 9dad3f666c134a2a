//! Commands: given at once or not at all, answered or expired, and audited.

use std::{sync::Arc, time::Duration};

use nxmesh_core::{
    api::{CommandKind, CommandState, CommandView, ProgressState},
    contract::storage::{AuditEntry, ListAudit},
    memory::MemoryStorage,
    wire::{self, CommandResult, agent_message::Payload, master_message},
};
use nxmesh_master_lib::coordination::{CommandError, FleetOptions};
use tokio::time::{Instant, sleep, timeout};

use super::{Agent, Conversation, Hello, Master, workspace};

const MINUTE: Duration = Duration::from_secs(60);

async fn give(
    master: &Master,
    agent: &Agent,
    kind: CommandKind,
) -> Result<CommandView, CommandError> {
    let fleet = &master.fleet;
    fleet
        .command(&workspace(), &agent.id, kind, MINUTE, "ada")
        .await
}

/// The next message that is no update.
async fn told(session: &mut Conversation) -> master_message::Payload {
    let message = timeout(MINUTE, session.receive()).await.expect("told");
    let message = message.expect("a session").expect("a message");
    message.payload.expect("a payload")
}

async fn commanded(session: &mut Conversation) -> wire::Command {
    match told(session).await {
        master_message::Payload::Command(command) => command,
        other => panic!("not a command: {other:?}"),
    }
}

async fn answer(session: &mut Conversation, id: &str, ok: bool, message: &str) {
    let result = CommandResult {
        id: id.to_owned(),
        ok,
        message: message.to_owned(),
    };
    session.send(Payload::CommandResult(result)).await;
}

async fn settled(master: &Master, agent: &Agent, id: &str) -> CommandView {
    let until = Instant::now() + 10 * MINUTE;
    let fleet = &master.fleet;
    let view = fleet.wait_command(&workspace(), &agent.id, id, until).await;
    view.expect("it is remembered")
}

/// The audit log once it has so many entries.
async fn audited(master: &Master, count: usize) -> Vec<AuditEntry> {
    let all = ListAudit {
        workspace: Some(workspace()),
        after: 0,
        limit: 1000,
        newest_first: false,
    };
    for _ in 0..100 {
        let log = master.fleet.audit_log(&all).await.expect("read");
        if log.len() >= count {
            return log;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("there are not {count} entries");
}

#[tokio::test(start_paused = true)]
async fn a_command_is_answered_acknowledged_and_audited() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    for (kind, on_the_wire, ok, state) in [
        (
            CommandKind::Reload,
            wire::CommandKind::Reload,
            true,
            CommandState::Done,
        ),
        (
            CommandKind::Recheck,
            wire::CommandKind::Recheck,
            false,
            CommandState::Failed,
        ),
    ] {
        let given = give(&master, &agent, kind).await.expect("given");
        assert_eq!(given.state, CommandState::Waiting);
        let command = commanded(&mut session).await;
        assert_eq!(
            (command.id.as_str(), command.kind()),
            (&*given.id, on_the_wire)
        );
        assert_eq!(command.deadline, given.deadline);
        assert_eq!(given.deadline - given.at, 60_000);
        answer(&mut session, &given.id, ok, "says\u{1b} nginx").await;
        let view = settled(&master, &agent, &given.id).await;
        assert_eq!((view.state, &*view.message), (state, "says nginx"));
        let ack = told(&mut session).await;
        let master_message::Payload::Ack(ack) = ack else {
            panic!("not acknowledged: {ack:?}");
        };
        assert_eq!(ack.command_id, given.id);
    }
    let log = audited(&master, 4).await;
    let said: Vec<_> = log
        .iter()
        .map(|it| (&*it.entry.actor, &*it.entry.action, &*it.entry.outcome))
        .collect();
    let actor = format!("agent/{}", agent.id);
    assert_eq!(
        said,
        [
            ("ada", "agent:reload", "asked"),
            (&actor, "agent:reload", "done"),
            ("ada", "agent:recheck", "asked"),
            (&actor, "agent:recheck", "failed"),
        ]
    );
    assert_eq!(log[0].entry.act, log[1].entry.act);
    assert_eq!(log[1].entry.detail, "says nginx");
}

/// Nothing waits for an agent that is away.
#[tokio::test(start_paused = true)]
async fn an_agent_that_is_away_is_told_nothing_later() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let error = give(&master, &agent, CommandKind::Reload).await;
    let error = error.expect_err("it is away");
    assert!(matches!(error, CommandError::Away { .. }), "{error}");
    let mut session = agent.connect(&master, Hello::fresh()).await;
    session.is_left_alone(MINUTE).await;
    let log = audited(&master, 1).await;
    assert_eq!(log[0].entry.outcome, "refused");
    assert!(log[0].entry.detail.contains("not connected"), "{log:?}");

    let stranger = Agent {
        id: "0190f3a1-7c5e-7cc0-9f43-0d9a3f1b2c4d"
            .parse()
            .expect("an id"),
        ..agent
    };
    let error = give(&master, &stranger, CommandKind::Reload).await;
    assert!(
        matches!(error, Err(CommandError::Unknown { .. })),
        "{error:?}"
    );
}

/// The agent may go before it is told, or before it answers.
#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_is_not_waited_for() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let given = give(&master, &agent, CommandKind::Reload)
        .await
        .expect("given");
    commanded(&mut session).await;
    let begun = Instant::now();
    let view = settled(&master, &agent, &given.id).await;
    assert_eq!(view.state, CommandState::Expired);
    assert!(begun.elapsed() <= MINUTE + Duration::from_secs(1));
    let log = audited(&master, 2).await;
    assert_eq!(
        (&*log[1].entry.actor, &*log[1].entry.outcome),
        ("master", "expired")
    );

    // Late, in a later session, and of somebody else.
    drop(session);
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let mut other = master.agent(&[]).await;
    let mut others = other.connect(&master, Hello::fresh()).await;
    answer(&mut others, &given.id, false, "not mine").await;
    told(&mut others).await;
    answer(&mut session, &given.id, true, "late").await;
    told(&mut session).await;
    let view = settled(&master, &agent, &given.id).await;
    assert_eq!((view.state, &*view.message), (CommandState::Done, "late"));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_takes_nothing_is_not_given_more() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let session = agent.connect(&master, Hello::fresh()).await;
    let mut given = 0;
    let error = loop {
        match give(&master, &agent, CommandKind::Reload).await {
            Ok(_) => given += 1,
            Err(error) => break error,
        }
        assert!(given < 100_000, "commands pile up without end");
    };
    assert!(matches!(error, CommandError::Busy { .. }), "{error}");
    drop(session);
}

/// A drained agent is offered nothing, shown as such, and rollouts do not wait
/// for it; the master remembers it over a restart.
#[tokio::test(start_paused = true)]
async fn rollouts_do_not_wait_for_a_drained_agent() {
    let storage = Arc::new(MemoryStorage::new());
    let master = Master::on(Arc::<MemoryStorage>::clone(&storage)).await;
    let mut agent = master.agent(&[]).await;
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let given = give(&master, &agent, CommandKind::Drain)
        .await
        .expect("given");
    commanded(&mut session).await;
    answer(&mut session, &given.id, true, "").await;
    settled(&master, &agent, &given.id).await;
    told(&mut session).await;
    assert!(master.view(&agent).await.drained);

    let revision = master.put("shop", "one").await;
    let rollout = master.settled(revision).await;
    assert_eq!(rollout.agents[0].state, ProgressState::Drained);
    session.is_left_alone(MINUTE / 2).await;
    master.stop.cancel();
    sleep(Duration::from_secs(5)).await;

    let master = Master::with(storage, FleetOptions::default()).await;
    assert!(master.view(&agent).await.drained);
    let rollout = master.settled(revision).await;
    assert_eq!(rollout.agents[0].state, ProgressState::Drained);

    // Its own word counts: here it is not drained any more.
    let mut session = agent.connect(&master, Hello::fresh()).await;
    let update = session.update().await;
    session.apply(&update).await;
    let rollout = master.settled(revision).await;
    assert_eq!(rollout.agents[0].state, ProgressState::Applied);
}

/// What the audit log says of a command, once it is so much.
async fn said_of(master: &Master, id: &str, count: usize) -> Vec<(String, String)> {
    let asked = audited(master, 1).await;
    let mut said: Vec<_> = Vec::new();
    for _ in 0..10 {
        let log = audited(master, asked.len()).await.into_iter();
        let of_it = log.filter(|it| it.entry.act == id);
        said = of_it
            .map(|it| (it.entry.outcome, it.entry.detail))
            .collect();
        if said.len() >= count {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(said.len(), count, "{said:?}");
    said
}

fn outcomes(said: &[(String, String)]) -> Vec<&str> {
    said.iter().map(|(outcome, _)| &**outcome).collect()
}

/// What was asked of one master is ended by the next; once, also if that is late.
#[tokio::test(start_paused = true)]
async fn a_result_that_comes_after_a_restart_is_audited() {
    let storage = Arc::new(MemoryStorage::new());
    let first = Master::on(Arc::<MemoryStorage>::clone(&storage)).await;
    let mut agent = first.agent(&[]).await;
    let mut silent = first.agent(&[]).await;
    let mut session = agent.connect(&first, Hello::fresh()).await;
    let mut silent_session = silent.connect(&first, Hello::fresh()).await;
    let ended = give(&first, &agent, CommandKind::Reload)
        .await
        .expect("given");
    commanded(&mut session).await;
    answer(&mut session, &ended.id, true, "before").await;
    told(&mut session).await;
    said_of(&first, &ended.id, 2).await;
    let given = give(&first, &agent, CommandKind::Drain)
        .await
        .expect("given");
    commanded(&mut session).await;
    let unanswered = give(&first, &silent, CommandKind::Restart)
        .await
        .expect("given");
    commanded(&mut silent_session).await;
    drop((first, session, silent_session));

    let second = Master::on(Arc::<MemoryStorage>::clone(&storage)).await;
    let mut session = agent.connect(&second, Hello::fresh()).await;
    let fleet = &second.fleet;
    let view = fleet.command_view(&workspace(), &agent.id, &given.id);
    let view = view.expect("it is known");
    assert_eq!(
        (view.state, view.kind),
        (CommandState::Waiting, CommandKind::Drain)
    );
    assert_eq!((&*view.by, view.at), ("ada", given.at));
    answer(&mut session, &ended.id, true, "again").await;
    told(&mut session).await;
    answer(&mut session, &given.id, true, "drained").await;
    told(&mut session).await;
    let said = said_of(&second, &given.id, 2).await;
    assert_eq!(outcomes(&said), ["asked", "done"]);
    assert_eq!(said[1].1, "drained");
    assert!(second.view(&agent).await.drained);

    let view = settled(&second, &silent, &unanswered.id).await;
    assert_eq!(view.state, CommandState::Expired);
    let said = said_of(&second, &unanswered.id, 2).await;
    assert_eq!(outcomes(&said), ["asked", "expired"]);
    said_of(&second, &ended.id, 2).await;
    drop((second, session));

    let third = Master::on(storage).await;
    sleep(20 * MINUTE).await;
    said_of(&third, &unanswered.id, 2).await;
    let mut session = silent.connect(&third, Hello::fresh()).await;
    answer(&mut session, &unanswered.id, true, "late").await;
    told(&mut session).await;
    let said = said_of(&third, &unanswered.id, 3).await;
    assert_eq!(outcomes(&said), ["asked", "expired", "done"]);
    said_of(&third, &given.id, 2).await;
}

/// Of two masters on one database one is asked and the other is told the result.
#[tokio::test(start_paused = true)]
async fn a_result_that_comes_to_another_master_is_audited() {
    let storage = Arc::new(MemoryStorage::new());
    let asked = Master::on(Arc::<MemoryStorage>::clone(&storage)).await;
    let mut agent = asked.agent(&[]).await;
    let mut stranger = asked.agent(&[]).await;
    let other = Master::on(storage).await;
    let mut session = agent.connect(&asked, Hello::fresh()).await;
    let given = give(&asked, &agent, CommandKind::Reload)
        .await
        .expect("given");
    commanded(&mut session).await;
    let mut session = agent.connect(&other, Hello::fresh()).await;
    let mut strangers = stranger.connect(&other, Hello::fresh()).await;
    answer(&mut strangers, &given.id, false, "not mine").await;
    told(&mut strangers).await;
    sleep(Duration::from_secs(20)).await;
    answer(&mut session, &given.id, true, "reloaded").await;
    told(&mut session).await;
    let said = said_of(&other, &given.id, 2).await;
    assert_eq!(outcomes(&said), ["asked", "done"]);
    let view = settled(&asked, &agent, &given.id).await;
    assert_eq!(
        (view.state, &*view.message),
        (CommandState::Done, "reloaded")
    );
    sleep(20 * MINUTE).await;
    said_of(&asked, &given.id, 2).await;
}

fn batch(id: &str, lines: &[&str]) -> wire::LogBatch {
    let lines = lines.iter().map(|text| wire::LogLine {
        timestamp: 0,
        text: (*text).to_owned(),
    });
    wire::LogBatch {
        command_id: id.to_owned(),
        lines: lines.collect(),
        ..wire::LogBatch::default()
    }
}

/// Lines go from the agent to who asked, until the agent ends it, who asked
/// goes, or the connection is lost.
#[tokio::test(start_paused = true)]
async fn a_log_is_looked_at_until_somebody_goes() {
    let master = Master::start().await;
    let mut agent = master.agent(&[]).await;
    let away = master
        .fleet
        .logs(&workspace(), &agent.id, 5, true, "ada")
        .await;
    let away = away.expect_err("it is away");
    assert!(matches!(away, CommandError::Away { .. }), "{away}");

    let mut session = agent.connect(&master, Hello::fresh()).await;
    let (place, id) = (workspace(), agent.id.clone());
    let ask = || master.fleet.logs(&place, &id, 5, true, "ada");
    let mut log = ask().await.expect("asked");
    let asked = commanded(&mut session).await;
    assert_eq!(
        (asked.kind(), asked.lines, asked.follow),
        (wire::CommandKind::Logs, 5, true)
    );
    session
        .send(Payload::Logs(batch("another", &["not asked for"])))
        .await;
    session
        .send(Payload::Logs(batch(&asked.id, &["one", "two\u{1b}"])))
        .await;
    let event = log.next().await.expect("lines");
    assert_eq!(event.lines, ["one", "two\u{1b}"]);
    let last = wire::LogBatch {
        end: true,
        dropped: 7,
        ..batch(&asked.id, &[])
    };
    session.send(Payload::Logs(last)).await;
    let event = log.next().await.expect("an end");
    assert_eq!((event.dropped, event.end.as_deref()), (7, Some("")));
    assert_eq!(log.next().await, None);
    drop(log);

    let log = ask().await.expect("asked");
    let asked = commanded(&mut session).await;
    drop(log);
    let ended = commanded(&mut session).await;
    assert_eq!(
        (ended.kind(), &ended.id),
        (wire::CommandKind::EndLogs, &asked.id)
    );

    let mut log = ask().await.expect("asked");
    commanded(&mut session).await;
    drop(session);
    let mut event = log.next().await.expect("an end");
    while event.end.is_none() {
        event = log.next().await.expect("an end");
    }
    assert!(event.end.expect("a reason").contains("connection"));
    let log = audited(&master, 3).await;
    assert!(log.iter().all(|it| it.entry.action == "agent:logs"));
}
