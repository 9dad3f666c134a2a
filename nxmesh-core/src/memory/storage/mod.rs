//! The master's state in memory.

mod state;
mod unit;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use futures_util::lock::Mutex;

use crate::contract::storage::{Storage, StorageError, UnitOfWork};
use state::State;
use unit::{Access, MemoryUnit};

const BACKEND: &str = "memory";

/// A storage without a disk. Clones share one state, which lives as long as
/// one of them.
///
/// Writers take turns. Readers get a snapshot that shares its parts with the
/// current state, so beginning one takes the same short time however much is
/// stored; the first write of a unit to an aggregate copies that aggregate's
/// index.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Held by the unit that writes.
    turn: Arc<Mutex<()>>,
    committed: RwLock<State>,
}

impl Shared {
    fn snapshot(&self) -> State {
        self.committed
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replace(&self, state: State) {
        let before = {
            let mut committed = self
                .committed
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *committed, state)
        };
        // May free much, so not under the lock.
        drop(before);
    }
}

impl MemoryStorage {
    /// An empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage")
            .field("head", &self.shared.snapshot().head())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    fn backend(&self) -> &'static str {
        BACKEND
    }

    async fn begin(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        let turn = Arc::clone(&self.shared.turn).lock_owned().await;
        let state = self.shared.snapshot();
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(MemoryUnit::new(
            state,
            Access::Write {
                shared,
                _turn: turn,
            },
        )))
    }

    async fn read(&self) -> Result<Box<dyn UnitOfWork>, StorageError> {
        Ok(Box::new(MemoryUnit::new(
            self.shared.snapshot(),
            Access::Read,
        )))
    }
}
