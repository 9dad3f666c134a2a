//! The calls to systemd that are needed.

use std::{sync::Mutex, time::Duration};

use serde::Serialize;
use tokio_stream::StreamExt as _;
use zbus::{
    Connection, MatchRule, Message, MessageStream, connection, message,
    zvariant::{DynamicType, OwnedObjectPath, OwnedValue},
};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// How long one call may take; jobs are not waited for in it.
const CALL: Duration = Duration::from_secs(10);
/// Ends of other units' jobs that may wait to be read.
const QUEUED: usize = 64;

/// What a unit is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Start,
    Reload,
}

/// What systemd says of a unit.
#[derive(Debug)]
pub(super) struct Unit {
    /// `loaded`, `not-found`, `masked` and others.
    pub(super) load_state: String,
    /// `active`, `inactive`, `failed` and others.
    pub(super) active_state: String,
    /// 0 for none.
    pub(super) main_pid: u32,
}

/// Why systemd did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum BusError {
    #[error("{0}")]
    Bus(#[from] zbus::Error),
    #[error("no answer within {CALL:?}")]
    Late,
    #[error("the bus was closed")]
    Closed,
    #[error(
        "{0}; run the agent as root, or let polkit allow it org.freedesktop.systemd1.manage-units for this unit"
    )]
    Denied(zbus::Error),
}

/// A connection to systemd, opened when it is needed and again when it broke.
#[derive(Debug)]
pub(super) struct Bus {
    address: String,
    open: Mutex<Option<Connection>>,
}

impl Bus {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            open: Mutex::new(None),
        }
    }

    /// Asks for a unit; one that systemd does not know is `not-found`.
    pub(super) async fn unit(&self, name: &str) -> Result<Unit, BusError> {
        let loaded = self
            .call(MANAGER_PATH, MANAGER, "LoadUnit", &(name,))
            .await?;
        let path: OwnedObjectPath = loaded.body().deserialize()?;
        let text = |value: OwnedValue| String::try_from(value).map_err(zbus::Error::from);
        let load_state = text(self.property(&path, UNIT, "LoadState").await?)?;
        if load_state != "loaded" {
            return Ok(Unit {
                load_state,
                active_state: "inactive".to_owned(),
                main_pid: 0,
            });
        }
        let main_pid = self.property(&path, SERVICE, "MainPID").await?;
        Ok(Unit {
            load_state,
            active_state: text(self.property(&path, UNIT, "ActiveState").await?)?,
            main_pid: u32::try_from(main_pid).map_err(zbus::Error::from)?,
        })
    }

    /// Runs `job` on a unit and waits for its end; its result, `done` for a success.
    pub(super) async fn run(&self, job: Job, unit: &str) -> Result<String, BusError> {
        let connection = self.connection().await?;
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender(SYSTEMD)?
            .path(MANAGER_PATH)?
            .interface(MANAGER)?
            .member("JobRemoved")?
            .build();
        // Before the job begins, or its end could be missed.
        let mut ends = MessageStream::for_match_rule(rule, &connection, Some(QUEUED))
            .await
            .inspect_err(|_| self.keep(None))?;
        match self.call(MANAGER_PATH, MANAGER, "Subscribe", &()).await {
            // By an earlier job.
            Err(BusError::Bus(zbus::Error::MethodError(name, ..)))
                if name.ends_with(".AlreadySubscribed") => {}
            subscribed => drop(subscribed?),
        }
        let method = match job {
            Job::Start => {
                // A start limit that was reached would make this start fail as well.
                self.call(MANAGER_PATH, MANAGER, "ResetFailedUnit", &(unit,))
                    .await
                    .ok();
                "StartUnit"
            }
            Job::Reload => "ReloadUnit",
        };
        let begun = self
            .call(MANAGER_PATH, MANAGER, method, &(unit, "replace"))
            .await?;
        let job: OwnedObjectPath = begun.body().deserialize()?;
        while let Some(ended) = ends.next().await {
            let ended = ended?;
            let body = ended.body();
            let (_, path, _, result): (u32, OwnedObjectPath, String, String) =
                body.deserialize()?;
            if path == job {
                return Ok(result);
            }
        }
        Err(BusError::Closed)
    }

    async fn property(
        &self,
        path: &OwnedObjectPath,
        interface: &str,
        name: &str,
    ) -> Result<OwnedValue, BusError> {
        let got = self
            .call(path.as_str(), PROPERTIES, "Get", &(interface, name))
            .await?;
        Ok(got.body().deserialize()?)
    }

    async fn call(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &(impl Serialize + DynamicType + Sync),
    ) -> Result<Message, BusError> {
        let connection = self.connection().await?;
        let called = connection.call_method(Some(SYSTEMD), path, Some(interface), method, body);
        let answer = match tokio::time::timeout(CALL, called).await {
            Ok(answer) => answer.map_err(BusError::from),
            Err(_) => Err(BusError::Late),
        };
        answer.map_err(|error| match error {
            BusError::Bus(error @ zbus::Error::MethodError(..)) => of_method(error),
            error => {
                // The next call opens another.
                self.keep(None);
                error
            }
        })
    }

    async fn connection(&self) -> Result<Connection, BusError> {
        if let Some(open) = self.kept() {
            return Ok(open);
        }
        let opening = connection::Builder::address(self.address.as_str())?.build();
        let connection = tokio::time::timeout(CALL, opening)
            .await
            .map_err(|_| BusError::Late)??;
        self.keep(Some(connection.clone()));
        Ok(connection)
    }

    fn kept(&self) -> Option<Connection> {
        let open = self
            .open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        open.clone()
    }

    fn keep(&self, connection: Option<Connection>) {
        let mut open = self
            .open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        *open = connection;
    }
}

fn of_method(error: zbus::Error) -> BusError {
    let zbus::Error::MethodError(name, ..) = &error else {
        return BusError::Bus(error);
    };
    if name.ends_with(".AccessDenied") || name.ends_with(".InteractiveAuthorizationRequired") {
        return BusError::Denied(error);
    }
    BusError::Bus(error)
}
