//! Where the operator of a run decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use outbox_core::dead_letter::{Decision, Desk, Letter, Parked, State};
use outbox_core::source::Row;
use outbox_core::{Position, StoreError, async_trait};

use crate::trace::Step;
use crate::world::World;

pub(super) struct SimDesk {
    pub(super) world: Arc<World>,
    pub(super) desk: Box<dyn Desk>,
}

#[async_trait]
impl Desk for SimDesk {
    async fn letters(&mut self, subscription: &str, key: Option<&str>) -> Result<Vec<Letter>, StoreError> {
        self.desk.letters(subscription, key).await
    }

    async fn letter(&mut self, subscription: &str, position: Position) -> Result<Option<Letter>, StoreError> {
        self.desk.letter(subscription, position).await
    }

    async fn known(&mut self, subscription: &str, positions: &[Position]) -> Result<BTreeSet<Position>, StoreError> {
        self.desk.known(subscription, positions).await
    }

    async fn copy(&mut self, subscription: &str, position: Position) -> Result<Option<Row>, StoreError> {
        self.desk.copy(subscription, position).await
    }

    async fn decide(&mut self, subscription: &str, decision: &Decision) -> Result<Vec<Position>, StoreError> {
        let decided = self.desk.decide(subscription, decision).await?;
        let now = self.world.now();
        let mut state = self.world.state();
        state.trace.note(now, 0, Step::Decide(decided.len()));
        if decision.to != State::Requeued {
            state.oracle.account(subscription).given_up.extend(decided.iter().copied());
        }
        Ok(decided)
    }

    async fn replay(&mut self, subscription: &str, letters: &[Arc<Parked>]) -> Result<(), StoreError> {
        self.desk.replay(subscription, letters).await
    }

    async fn replaying(&mut self, subscription: &str) -> Result<u64, StoreError> {
        self.desk.replaying(subscription).await
    }

    async fn subscriptions(&mut self) -> Result<Vec<String>, StoreError> {
        self.desk.subscriptions().await
    }

    async fn pause(&mut self, subscription: &str, note: Option<&str>) -> Result<bool, StoreError> {
        self.desk.pause(subscription, note).await
    }

    async fn is_at_work(&mut self, subscription: &str) -> Result<bool, StoreError> {
        self.desk.is_at_work(subscription).await
    }
}
