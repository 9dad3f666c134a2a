//! What an agent is told before it starts. No file is read here but those
//! whose paths are given.

use std::time::Duration;

use nxmesh_core::model::Labels;

use crate::{
    apply::ApplyOptions,
    controller::ControlOptions,
    health::HealthOptions,
    identity::{BootstrapToken, identity_file},
    metrics::MetricsOptions,
    transport::{ConnectionOptions, MasterUrl, Proxy, TransportChoice},
};

/// Everything an agent can be told.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Folders, mode and deadlines of applies.
    pub apply: ApplyOptions,
    /// Where the master is; several lead the same fleet, and
    /// [`FailoverTransport`](crate::transport::FailoverTransport) says how they
    /// take turns. Default: where it was at the enrolment. Not used with a
    /// transport of your own.
    pub master_urls: Vec<MasterUrl>,
    /// What is spoken with the master. Default: [`TransportChoice::Auto`]. Not
    /// used with a transport of your own.
    pub transport: TransportChoice,
    /// What leads to the master, unless it is reached directly. Default:
    /// nothing; the environment is not looked at. Not used with a transport of
    /// your own.
    pub proxy: Option<Proxy>,
    /// The authorities, in PEM, that the master's certificate may come from,
    /// beside those learnt at the enrolment. Needed for the first contact.
    pub master_ca: Option<String>,
    /// Traded for an identity on the first start; not used after.
    pub bootstrap_token: Option<BootstrapToken>,
    /// Told at the enrolment; selectors choose by them. Default: none.
    pub labels: Labels,
    /// What the machine is called. Default: its host name.
    pub hostname: Option<String>,
    /// The connection to the master.
    pub connection: ConnectionOptions,
    /// How nginx is looked after.
    pub control: ControlOptions,
    /// Whom the agent tells what it counts. Requests are counted if
    /// `apply.render.request_log` names a socket for their log.
    pub metrics: MetricsOptions,
    /// What is measured and told to the master.
    pub health: HealthOptions,
    /// How long a stop waits for the last statuses to reach the master. Default: 2 s.
    pub farewell: Duration,
}

impl AgentOptions {
    /// Default values for everything but the applies.
    #[must_use]
    pub fn new(apply: ApplyOptions) -> Self {
        Self {
            apply,
            master_urls: Vec::new(),
            transport: TransportChoice::default(),
            proxy: None,
            master_ca: None,
            bootstrap_token: None,
            labels: Labels::new(),
            hostname: None,
            connection: ConnectionOptions::default(),
            control: ControlOptions::default(),
            metrics: MetricsOptions::default(),
            health: HealthOptions::default(),
            farewell: Duration::from_secs(2),
        }
    }
    /// Whether there is an identity in the state folder, so that neither a
    /// token nor a CA is needed. Says nothing on whether it can be used.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        identity_file(self.apply.layout.state_dir()).exists()
    }
}
