//! The calls to systemd that are needed (org.freedesktop.systemd1(5)).

use tokio::sync::Mutex;

use super::{
    connection::{BusError, Connection},
    wire::{Body, Call, NotUnderstood, Value},
};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The signals that tell of the end of a job.
const JOB_REMOVED: &str = "JobRemoved";
const ENDS_OF_JOBS: &str = "type='signal',sender='org.freedesktop.systemd1',\
    path='/org/freedesktop/systemd1',interface='org.freedesktop.systemd1.Manager',\
    member='JobRemoved'";

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

/// The way to systemd. A connection is kept for questions; a job has its own.
#[derive(Debug)]
pub(super) struct Bus {
    address: String,
    kept: Mutex<Option<Connection>>,
}

impl Bus {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            kept: Mutex::new(None),
        }
    }

    /// Asks for a unit; one that systemd does not know is `not-found`.
    pub(super) async fn unit(&self, name: &str) -> Result<Unit, BusError> {
        let mut kept = self.kept.lock().await;
        // Taken: one that fails, or is cut short, is not used again.
        let mut connection = match kept.take() {
            Some(open) => open,
            None => Connection::open(&self.address).await?,
        };
        let unit = unit(&mut connection, name).await?;
        *kept = Some(connection);
        Ok(unit)
    }

    /// Runs `job` on a unit and waits for its end; its result, `done` for a success.
    pub(super) async fn run(&self, job: Job, unit: &str) -> Result<String, BusError> {
        let mut bus = Connection::open(&self.address).await?;
        // Before the job begins, or its end could be missed.
        bus.listen(ENDS_OF_JOBS, JOB_REMOVED).await?;
        bus.call(&to_manager("Subscribe", &[])).await?;
        let method = match job {
            Job::Start => {
                // A start limit that was reached would make this start fail as well.
                bus.call(&to_manager("ResetFailedUnit", &[unit])).await.ok();
                "StartUnit"
            }
            Job::Reload => "ReloadUnit",
        };
        let begun = bus.call(&to_manager(method, &[unit, "replace"])).await?;
        let job = text(&begun)?;
        loop {
            let ended = bus.next_signal().await?.values()?;
            if let [
                Value::Number(_),
                Value::Text(path),
                Value::Text(_),
                Value::Text(result),
            ] = &ended[..]
                && *path == job
            {
                return Ok(result.clone());
            }
        }
    }
}

async fn unit(bus: &mut Connection, name: &str) -> Result<Unit, BusError> {
    let path = text(&bus.call(&to_manager("LoadUnit", &[name])).await?)?;
    let load_state = text(&property(bus, &path, UNIT, "LoadState").await?)?;
    if load_state != "loaded" {
        return Ok(Unit {
            load_state,
            active_state: "inactive".to_owned(),
            main_pid: 0,
        });
    }
    let main_pid = property(bus, &path, SERVICE, "MainPID").await?.values()?;
    let [Value::Number(main_pid)] = main_pid[..] else {
        return Err(NotUnderstood("an answer without a number").into());
    };
    Ok(Unit {
        load_state,
        active_state: text(&property(bus, &path, UNIT, "ActiveState").await?)?,
        main_pid,
    })
}

async fn property(
    bus: &mut Connection,
    path: &str,
    interface: &str,
    name: &str,
) -> Result<Body, BusError> {
    bus.call(&Call {
        destination: SYSTEMD,
        path,
        interface: PROPERTIES,
        method: "Get",
        arguments: &[interface, name],
    })
    .await
}

const fn to_manager<'a>(method: &'a str, arguments: &'a [&'a str]) -> Call<'a> {
    Call {
        destination: SYSTEMD,
        path: MANAGER_PATH,
        interface: MANAGER,
        method,
        arguments,
    }
}

/// A body that is one text.
fn text(body: &Body) -> Result<String, BusError> {
    match body.values()?.into_iter().next() {
        Some(Value::Text(text)) => Ok(text),
        _ => Err(NotUnderstood("an answer without a text").into()),
    }
}
