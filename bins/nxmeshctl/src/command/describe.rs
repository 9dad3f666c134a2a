//! `nxmeshctl describe`

use anyhow::anyhow;
use nxmesh_core::api::{AgentProgress, AgentView, KeyView, ProgressState};
use nxmesh_core::model::{Drift, FileChange, NginxHealth, Version};
use nxmesh_process::exit::{Exit, OrExit as _};
use serde_json::Value;

use crate::{
    client::Client,
    command::{
        agent::find,
        counted,
        get::{path, segment},
        measured,
    },
    options::{DescribeArguments, ServerOptions, Thing},
    output, progress,
};

pub(crate) async fn run(
    options: &ServerOptions,
    arguments: DescribeArguments,
) -> anyhow::Result<Exit> {
    let (thing, name) = arguments.target.one()?;
    if thing == Thing::Audit {
        return Err(anyhow!(
            "list the audit log with: nxmeshctl get audit -o yaml"
        ))
        .or_exit(Exit::Usage);
    }
    let client = Client::new(options)?;
    let path = match thing {
        Thing::Agent => format!("agents/{}", find(&client, name).await?.id),
        _ => format!("{}/{}", path(thing), segment(name)),
    };
    let tagged = client.tagged(&path).await?;
    match thing {
        Thing::Agent => output::line(&agent(&serde_json::from_value(tagged.document)?))?,
        Thing::Revision | Thing::Audit => output::line(&output::yaml(&tagged.document))?,
        Thing::Resource(_) => resource(&client, &tagged.etag, &tagged.document).await?,
    }
    Ok(Exit::Success)
}

/// The document, and how far the revision that made it has come.
async fn resource(client: &Client, etag: &str, document: &Value) -> anyhow::Result<()> {
    output::line(&output::yaml(document))?;
    let Ok(revision) = etag.trim_start_matches("W/").trim_matches('"').parse() else {
        return Ok(());
    };
    output::line(&format!("\nlast changed by revision {revision}"))?;
    let rollout = client
        .rollout(revision, None, std::time::Duration::ZERO)
        .await?;
    rollout
        .agents
        .iter()
        .try_for_each(|agent| output::line(&progress::describe(agent)))
}

/// How the nginx of an agent is, in a line.
fn nginx(health: Option<&NginxHealth>) -> String {
    let Some(health) = health else {
        return "not told".to_owned();
    };
    let mut text = match (&health.problem, health.silent_since, health.running) {
        (Some(problem), _, _) => format!("not up: {}", problem.replace('\n', "\n           ")),
        (None, Some(since), _) => format!("does not answer, since {} ago", output::age(since)),
        (None, None, true) => "running".to_owned(),
        (None, None, false) => "not running".to_owned(),
    };
    if health.restarts > 0 {
        text.push_str(&format!("; brought back {} times", health.restarts));
    }
    if let Some(since) = health.held_back_since {
        let since = output::age(since);
        text.push_str(&format!("; restarts are held back, since {since} ago"));
    }
    text
}

/// The four facts, each by itself.
fn agent(agent: &AgentView) -> String {
    let version = |version: &Option<Version>| {
        version.map_or_else(|| "none".to_owned(), |version| version.to_string())
    };
    let running = agent
        .running
        .map_or_else(|| "unknown".to_owned(), |digest| digest.to_string());
    let labels: Vec<String> = agent
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut lines = vec![
        format!("agent      {}", agent.id),
        format!("hostname   {}", agent.hostname),
        format!("labels     {}", labels.join(",")),
        format!(
            "connected  {} (last seen {} ago)",
            agent.connected,
            output::age(agent.last_seen_at)
        ),
        format!(
            "versions   agent {}, nginx {}",
            agent.agent_version, agent.nginx_version
        ),
        match &agent.nginx {
            Some(nginx) => format!(
                "nginx.conf {}; built with {}",
                if nginx.whole_conf {
                    "wholly managed"
                } else {
                    "managed in its block http"
                },
                nginx.modules.join(" ")
            ),
            None => "nginx.conf not told".to_owned(),
        },
        format!("nginx      {}", nginx(agent.health.as_ref())),
        format!("desired    {}", version(&agent.desired)),
        format!("sent       {}", version(&agent.sent)),
        format!("staged     {}", version(&agent.staged)),
        format!("applied    {}", version(&agent.applied)),
        format!("running    {running}"),
        format!("in sync    {}", agent.in_sync),
    ];
    lines.extend(agent.key.iter().flat_map(key));
    if let Some(quarantine) = &agent.quarantine {
        let undo = format!("nxmeshctl agent unquarantine {}", agent.id);
        lines.push(format!(
            "quarantine since {} ago: {}; enrol one of them anew, then: {undo}",
            output::age(quarantine.since),
            quarantine.reason
        ));
    }
    if agent.drained {
        let undo = format!("nxmeshctl agent undrain {}", agent.id);
        lines.push(format!(
            "drained    takes no new version; undo with: {undo}"
        ));
    }
    lines.extend(agent.measured.iter().flat_map(measured::lines));
    lines.extend(agent.metrics.iter().flat_map(counted::lines));
    if let Some(failure) = &agent.failure {
        let progress = AgentProgress {
            id: agent.id.clone(),
            hostname: agent.hostname.clone(),
            state: ProgressState::after(failure),
            failure: Some(failure.clone()),
            down: agent.is_down(),
        };
        lines.push(format!(
            "failure    version {}: {}",
            failure.version,
            progress::describe(&progress)
        ));
    }
    if let Some(drift) = &agent.drift {
        lines.extend(self::drift(drift));
    }
    lines.join("\n")
}

/// What an agent signs with, and what is to take its place.
fn key(key: &KeyView) -> Vec<String> {
    let mut lines = vec![format!(
        "key        {}, since {} ago",
        key.id,
        output::age(key.since)
    )];
    let Some(next) = &key.next else {
        return lines;
    };
    lines.push(format!(
        "           {} takes its place once the agent uses it; on offer since {} ago",
        next.id,
        output::age(next.since)
    ));
    if let Some(problem) = &next.problem {
        lines.push(format!("           the agent cannot use it: {problem}"));
    }
    lines
}

/// Which files of an agent are not as it wrote them, and what was changed.
fn drift(drift: &Drift) -> Vec<String> {
    let mut lines = vec![format!(
        "drift      since {} ago{}",
        output::age(drift.since),
        match drift.loaded {
            true => "; nginx has read its files since and may serve what was changed",
            false => "; nginx has not read them since",
        }
    )];
    let change = |change| match change {
        FileChange::Changed => "changed",
        FileChange::Missing => "missing",
        FileChange::Foreign => "not ours",
    };
    let files = drift.files.iter();
    lines.extend(files.map(|file| format!("           {:<9}{}", change(file.change), file.path)));
    if drift.more > 0 {
        lines.push(format!("           and {} more", drift.more));
    }
    if let Some(problem) = &drift.problem {
        lines.push(format!("           not repaired: {problem}"));
    }
    if !drift.diff.is_empty() {
        lines.push(drift.diff.trim_end().to_owned());
    }
    lines
}
