//! The number of a partition, as its column holds it.

use sqlx::{ColumnIndex, Decode, Row, Type};

/// As the column `partition_id` holds it.
pub(crate) fn partition_id(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// What the column `partition_id` holds; a number nobody wrote is one that no partition has.
pub(crate) fn partition_of<'r, R>(row: &'r R) -> Result<u32, sqlx::Error>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(u32::try_from(row.try_get::<i32, _>("partition_id")?).unwrap_or(u32::MAX))
}
