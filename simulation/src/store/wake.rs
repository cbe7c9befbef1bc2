//! Lets a relay be told by writers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use outbox_core::source::Holder;
use outbox_core::wake::{Armed, Wake};
use outbox_core::{StoreError, async_trait};
use tokio::sync::Notify;

use crate::mutant::Mutant;
use crate::world::{Line, Op, away};

pub(super) struct SimWake {
    line: Line,
    told: Arc<Notify>,
    /// How often anybody had armed when this relay was last told.
    heard_at: u64,
}

impl SimWake {
    pub(super) fn new(line: Line) -> Self {
        let told = Arc::new(Notify::new());
        line.world.state().listeners.push(told.clone());
        Self { line, told, heard_at: 0 }
    }
}

#[async_trait]
impl Wake for SimWake {
    async fn arm(&mut self, length: Duration) -> Result<Armed, StoreError> {
        let (world, number) = (self.line.world.clone(), self.line.process.number);
        let call = async move {
            let now = world.now();
            let mut state = world.state();
            let continued = state.log.armed_until > now;
            state.log.armed_until = now + u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
            state.log.armings += 1;
            let commits = state.log.commits;
            if continued {
                state.asleep.remove(&number);
            } else {
                state.asleep.insert(number, commits);
            }
            let blind = world.has(Mutant::ArmWithoutLooking);
            let last_position = if blind { 0 } else { state.log.last_position };
            Ok(Armed { continued, last_position })
        };
        self.line.call(Op::Arm, call).await
    }

    async fn writers(&mut self) -> Result<BTreeSet<Holder>, StoreError> {
        let world = self.line.world.clone();
        let call = async move { Ok(world.state().log.holders(world.now()).into_iter().collect()) };
        self.line.call(Op::Writers, call).await
    }

    async fn told(&mut self) -> Result<(), StoreError> {
        self.told.notified().await;
        self.line.process.runs().await;
        if !self.line.is_alive() {
            return Err(away());
        }
        self.heard_at = self.line.world.state().log.armings;
        Ok(())
    }

    async fn disarm(&mut self) -> Result<(), StoreError> {
        let (world, heard_at, number) = (self.line.world.clone(), self.heard_at, self.line.process.number);
        let call = async move {
            let mut state = world.state();
            state.asleep.remove(&number);
            if state.log.armings == heard_at {
                state.log.armed_until = 0;
            }
            Ok(())
        };
        self.line.call(Op::Disarm, call).await
    }
}
