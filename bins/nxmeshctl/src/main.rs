//! The NxMesh command line client.

mod client;
mod command;
mod context;
mod documents;
mod options;
mod output;
mod progress;

use std::process::ExitCode;

use nxmesh_core::api::CommandKind;
use nxmesh_process::exit::{self, Exit};
use options::{AgentCommand, Command, Options, RolloutCommand};

fn main() -> ExitCode {
    let options: Options = exit::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit::report::<Exit>(Err(error.into())),
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(options) => outcome,
            // What the server was told goes on there.
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        }
    });
    exit::report(outcome)
}

async fn run(options: Options) -> anyhow::Result<Exit> {
    let Options { server, command } = options;
    match command {
        Command::Login(arguments) => command::login::run(&server, arguments).await,
        Command::Logout => command::login::forget(&server),
        Command::Agent(AgentCommand::Enroll(arguments)) => {
            command::enroll::run(&server, arguments).await
        }
        Command::Agent(AgentCommand::Reload(arguments)) => {
            command::agent::command(&server, CommandKind::Reload, arguments).await
        }
        Command::Agent(AgentCommand::Recheck(arguments)) => {
            command::agent::command(&server, CommandKind::Recheck, arguments).await
        }
        Command::Agent(AgentCommand::Restart(arguments)) => {
            command::agent::command(&server, CommandKind::Restart, arguments).await
        }
        Command::Agent(AgentCommand::Drain(arguments)) => {
            command::agent::command(&server, CommandKind::Drain, arguments).await
        }
        Command::Agent(AgentCommand::Undrain(arguments)) => {
            command::agent::command(&server, CommandKind::Undrain, arguments).await
        }
        Command::Agent(AgentCommand::RotateKey(arguments)) => {
            command::agent::command(&server, CommandKind::RotateKey, arguments).await
        }
        Command::Agent(AgentCommand::Unquarantine(arguments)) => {
            command::agent::unquarantine(&server, arguments).await
        }
        Command::Apply(arguments) => command::apply::run(&server, arguments).await,
        Command::Get(arguments) => command::get::run(&server, arguments).await,
        Command::Describe(arguments) => command::describe::run(&server, arguments).await,
        Command::Delete(arguments) => command::delete::run(&server, arguments).await,
        Command::Diff(arguments) => command::diff::run(&server, arguments).await,
        Command::Plan(arguments) => command::plan::run(&server, arguments).await,
        Command::Validate(arguments) => command::validate::run(arguments),
        Command::Render(arguments) => command::render::run(arguments),
        Command::Explain(arguments) => command::explain::run(&arguments),
        Command::Import(arguments) => command::import::run(arguments),
        Command::Logs(arguments) => command::logs::run(&server, arguments).await,
        Command::Rollout(RolloutCommand::Undo(arguments)) => {
            command::rollout::undo(&server, arguments).await
        }
        Command::Rollout(RolloutCommand::Status(arguments)) => {
            command::rollout::status(&server, arguments).await
        }
        Command::Rollout(RolloutCommand::History(arguments)) => {
            command::rollout::history(&server, arguments).await
        }
    }
}
