//! The database as one process sees it: every part has a connection of its own, and every call takes its time.

mod checkpoints;
mod cleaner;
mod desk;
mod leases;
mod source;
mod wake;

use std::sync::Arc;

use outbox_core::checkpoint::Checkpoints;
use outbox_core::cleanup::Cleaner;
use outbox_core::dead_letter::Desk;
use outbox_core::lease::Leases;
use outbox_core::source::Source;
use outbox_core::status::Status;
use outbox_core::store::{Count, Database};
use outbox_core::wake::Waking;
use outbox_core::{Filter, Position, Store, StoreError, WakeMode, async_trait};

use super::process::Process;
use super::world::{Line, Op, World, away};

/// The simulated database.
#[derive(Clone)]
pub(crate) struct SimStore {
    pub(crate) world: Arc<World>,
    pub(crate) process: Arc<Process>,
}

impl SimStore {
    async fn line(&self, op: Op) -> Result<Line, StoreError> {
        Line::open(&self.world, &self.process, op).await
    }
}

#[async_trait]
impl Store for SimStore {
    fn describe(&self) -> String {
        "simulation".into()
    }

    async fn check(&self) -> Result<Database, StoreError> {
        let mut line = self.line(Op::Check).await?;
        let memory = self.world.memory.clone();
        line.call(Op::Check, async move { memory.check().await }).await
    }

    async fn source(&self, filter: &Filter) -> Result<Box<dyn Source>, StoreError> {
        let line = self.line(Op::OpenSource).await?;
        Ok(Box::new(source::SimSource::new(line, filter.clone())))
    }

    async fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        Ok(Box::new(checkpoints::SimCheckpoints::new(self.line(Op::OpenCheckpoints).await?)?))
    }

    async fn leases(&self) -> Result<Box<dyn Leases>, StoreError> {
        Ok(Box::new(leases::SimLeases { line: self.line(Op::OpenLeases).await? }))
    }

    async fn cleaner(&self) -> Result<Option<Box<dyn Cleaner>>, StoreError> {
        Ok(Some(Box::new(cleaner::SimCleaner { line: self.line(Op::OpenCleaner).await? })))
    }

    async fn desk(&self) -> Result<Box<dyn Desk>, StoreError> {
        let desk = self.world.memory.desk().await?;
        Ok(Box::new(desk::SimDesk { world: self.world.clone(), desk }))
    }

    async fn wake(&self, _: WakeMode) -> Result<Waking, StoreError> {
        if !self.world.plan.wakes {
            return Ok(Waking::Polling("as the seed wants it".to_owned()));
        }
        let line = self.line(Op::OpenWake).await?;
        Ok(Waking::Told(Box::new(wake::SimWake::new(line))))
    }

    async fn status(&self) -> Result<Status, StoreError> {
        Err(away())
    }

    async fn stats(&self, _: Position, _: &Filter) -> Result<Vec<Count>, StoreError> {
        Err(away())
    }
}
