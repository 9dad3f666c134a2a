//! The whole agent and a real master, and what networks put in between.

mod authority;
mod clocks;
mod failover;
mod fallback;
mod half_open;
mod keys;
mod proxied;
mod proxy;

use nxmesh_agent_lib::{AgentOptions, AgentStatus, BootstrapToken, ConnectionState};
use nxmesh_core::api::{AgentView, BootstrapTokenResponse};
use nxmesh_master_lib::{
    MasterConfig,
    testkit::{ApiClient, TestMaster, loopback},
};

use crate::rig::Rig;

const AGENTS: &str = "/api/v1/workspaces/default/agents";

/// A master, and the place of an agent that is not enrolled yet.
struct Scene {
    rig: Rig,
    master: TestMaster,
    client: ApiClient,
}

impl Scene {
    async fn open() -> Self {
        Self::with(loopback()).await
    }

    async fn with(config: MasterConfig) -> Self {
        Self::of(TestMaster::start_with(config).await.unwrap()).await
    }

    async fn of(master: TestMaster) -> Self {
        let client = master.client().await.unwrap();
        Self {
            rig: Rig::new(),
            master,
            client,
        }
    }

    /// Options of an agent that looks for the master at `port` of this machine.
    async fn options(&self, port: u16) -> AgentOptions {
        let tokens = format!("{AGENTS}/bootstrap-tokens");
        let json = [("content-type", "application/json")];
        let made = self.client.send(http::Method::POST, &tokens, &json, "{}");
        let token: BootstrapTokenResponse = made.await.unwrap().json().unwrap();
        let mut options = self.rig.options();
        options.bootstrap_token = Some(BootstrapToken::new(token.token));
        options.master_urls = vec![format!("https://localhost:{port}").parse().unwrap()];
        options.master_ca = Some(self.master.ca_pem().to_owned());
        options
    }

    /// What the master knows of its one agent.
    async fn view(&self) -> AgentView {
        let answer = self.client.get(AGENTS).await.unwrap().value().unwrap();
        serde_json::from_value(answer["items"][0].clone()).unwrap()
    }
}

fn ready_by(transport: &str) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        let connection = &status.connection;
        connection.state == ConnectionState::Ready
            && connection.transport.as_deref() == Some(transport)
    }
}
