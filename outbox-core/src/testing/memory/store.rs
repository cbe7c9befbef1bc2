//! The memory as a database.

use std::collections::BTreeMap;

use async_trait::async_trait;
use uuid::Uuid;

use super::MemoryStore;
use super::checkpoint::MemoryCheckpoints;
use super::dead_letter::MemoryDesk;
use super::lease::MemoryLeases;
use super::source::MemorySource;
use super::status::Moment;
use crate::checkpoint::Checkpoints;
use crate::dead_letter::Desk;
use crate::error::StoreError;
use crate::event::Position;
use crate::filter::Filter;
use crate::lease::Leases;
use crate::source::Source;
use crate::status::Status;
use crate::store::{Count, Database, Store};

#[async_trait]
impl Store for MemoryStore {
    fn describe(&self) -> String {
        "memory".into()
    }

    async fn check(&self) -> Result<Database, StoreError> {
        Ok(Database {
            kind: "memory",
            name: "memory".into(),
            server_version: env!("CARGO_PKG_VERSION").into(),
            instance: Uuid::nil().to_string(),
        })
    }

    async fn source(&self, filter: &Filter) -> Result<Box<dyn Source>, StoreError> {
        Ok(Box::new(MemorySource { store: self.clone(), filter: filter.clone() }))
    }

    async fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        Ok(Box::new(MemoryCheckpoints { store: self.clone(), claims: BTreeMap::new() }))
    }

    async fn leases(&self) -> Result<Box<dyn Leases>, StoreError> {
        Ok(Box::new(MemoryLeases { store: self.clone() }))
    }

    async fn desk(&self) -> Result<Box<dyn Desk>, StoreError> {
        Ok(Box::new(MemoryDesk { store: self.clone() }))
    }

    async fn status(&self) -> Result<Status, StoreError> {
        let database = self.check().await?;
        let clock = &self.database.clock;
        let now = Moment { since_boot: clock.since_boot(), time_of_day: clock.time_of_day() };
        Ok(self.tables().status(database, now))
    }

    async fn stats(&self, after: Position, filter: &Filter) -> Result<Vec<Count>, StoreError> {
        Ok(self.tables().stats(after, filter))
    }
}
