//! Which claim each write of a connection follows.

use std::collections::BTreeMap;

use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::number::partition_of;

/// The numbers of the claims made over one connection. A row that was made over it, and is claimed only later, has 0.
#[derive(Debug, Default)]
pub(crate) struct Claims(BTreeMap<(String, u32), i64>);

impl Claims {
    /// Notes what a claim brought back.
    pub(crate) fn note<'r, R>(&mut self, subscription: &str, row: &'r R) -> Result<(), sqlx::Error>
    where
        R: Row,
        &'static str: ColumnIndex<R>,
        i32: Decode<'r, R::Database> + Type<R::Database>,
        i64: Decode<'r, R::Database> + Type<R::Database>,
    {
        self.0.insert((subscription.to_owned(), partition_of(row)?), row.try_get("claims")?);
        Ok(())
    }

    /// The number of the claim a write follows.
    pub(crate) fn of(&self, subscription: &str, partition: u32) -> i64 {
        self.0.get(&(subscription.to_owned(), partition)).copied().unwrap_or_default()
    }
}
