//! Looks at the log as a cleaner sees it, with nothing but ACCESS SHARE.

use std::collections::BTreeMap;

use outbox_core::cleanup::{Ends, Reader, Segment, Survey};
use outbox_core::status::HolderStatus;
use outbox_core::{Names, Position, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{Row, SqlStr};

use crate::postgres::connection::{CALL, Link, READ, statement};
use crate::postgres::fault::store_error;

const SESSION: &str = outbox_core::sql::postgres::CLEANUP_SESSION;
const SEGMENTS: &str = outbox_core::sql::postgres::CLEANUP_SEGMENTS;
const READERS: &str = outbox_core::sql::postgres::CLEANUP_READERS;
const OWED: &str = outbox_core::sql::postgres::CLEANUP_OWED;
const HOLDERS: &str = outbox_core::sql::postgres::CLEANUP_HOLDERS;
const NOTED: &str = outbox_core::sql::postgres::CLEANUP_NOTED;

/// A lock held for less is a reader that passes by. One whose age the server does not tell may be there for long.
const MOMENT: f64 = 1.0;

/// The statements of a survey.
pub(in crate::postgres) struct Surveyor {
    segments: SqlStr,
    readers: SqlStr,
    owed: SqlStr,
    holders: SqlStr,
    noted: SqlStr,
}

type Owed = BTreeMap<i16, Vec<(String, Position)>>;
type Holders = BTreeMap<i16, Vec<HolderStatus>>;

impl Surveyor {
    /// Makes the connection's session one for looking at the log.
    pub(in crate::postgres) async fn open(link: &mut Link, names: &Names) -> Result<Self, StoreError> {
        link.set(SESSION).await?;
        Ok(Self {
            segments: statement(names, SEGMENTS),
            readers: statement(names, READERS),
            owed: statement(names, OWED),
            holders: statement(names, HOLDERS),
            noted: statement(names, NOTED),
        })
    }

    pub(in crate::postgres) async fn survey(&self, link: &mut Link) -> Result<Survey, StoreError> {
        let noted = link.one(CALL, sqlx::query(self.noted.clone())).await?;
        let rows = link.all(READ, sqlx::query(self.segments.clone())).await?;
        let mut segments: Vec<Segment> = rows.iter().map(segment).collect::<Result<_, _>>().map_err(store_error)?;
        let rows = link.all(READ, sqlx::query(self.readers.clone())).await?;
        let readers = rows.iter().map(reader).collect::<Result<_, _>>().map_err(store_error)?;
        let (mut owed, mut holders) = (self.owed(link, &segments).await?, self.holders(link).await?);
        for segment in &mut segments {
            segment.owed = owed.remove(&segment.number).unwrap_or_default();
            segment.holders = holders.remove(&segment.number).unwrap_or_default();
            segment.holders.retain(|holder| holder.prepared || holder.age_seconds.is_none_or(|age| age >= MOMENT));
        }
        let text = |column| noted.try_get::<Option<String>, _>(column).map_err(store_error);
        let used = text("segments")?.and_then(|used| used.parse().ok());
        let all = u8::try_from(segments.len()).unwrap_or(u8::MAX);
        let trouble = text("trouble")?.filter(|trouble| !trouble.is_empty());
        Ok(Survey { segments, readers, used: used.unwrap_or(all), one_by_one: false, trouble })
    }

    /// Who holds locks on each segment, the oldest first.
    pub(super) async fn holders(&self, link: &mut Link) -> Result<Holders, StoreError> {
        let mut holders = Holders::new();
        for row in link.all(CALL, sqlx::query(self.holders.clone())).await? {
            let (segment, holder) = holder(&row).map_err(store_error)?;
            holders.entry(segment).or_default().push(holder);
        }
        Ok(holders)
    }

    async fn owed(&self, link: &mut Link, segments: &[Segment]) -> Result<Owed, StoreError> {
        let filled: Vec<_> = segments.iter().filter_map(|segment| Some((segment.number, segment.ends?))).collect();
        let query = sqlx::query(self.owed.clone())
            .bind(filled.iter().map(|(number, _)| *number).collect::<Vec<_>>())
            .bind(filled.iter().map(|(_, ends)| ends.first).collect::<Vec<_>>())
            .bind(filled.iter().map(|(_, ends)| ends.last).collect::<Vec<_>>());
        let mut owed = Owed::new();
        for row in link.all(READ, query).await? {
            let segment = row.try_get("segment").map_err(store_error)?;
            let reader = row.try_get("subscription").map_err(store_error)?;
            owed.entry(segment).or_default().push((reader, row.try_get("position").map_err(store_error)?));
        }
        Ok(owed)
    }
}

fn segment(row: &PgRow) -> Result<Segment, sqlx::Error> {
    let ends: (Option<Position>, Option<Position>) = (row.try_get("first")?, row.try_get("last")?);
    let first_age = row.try_get("first_age")?;
    Ok(Segment {
        number: row.try_get("segment")?,
        bytes: row.try_get::<Option<i64>, _>("bytes")?.map(i64::unsigned_abs),
        current: row.try_get::<Option<bool>, _>("current")?.unwrap_or_default(),
        ends: ends.0.zip(ends.1).map(|(first, last)| Ends { first, last, first_age }),
        owed: Vec::new(),
        holders: Vec::new(),
    })
}

fn reader(row: &PgRow) -> Result<Reader, sqlx::Error> {
    Ok(Reader {
        name: row.try_get("subscription")?,
        position: row.try_get("position")?,
        leased: row.try_get("leased")?,
        silent_seconds: row.try_get("silent_seconds")?,
        cut_off: row.try_get("cut_off")?,
    })
}

fn holder(row: &PgRow) -> Result<(i16, HolderStatus), sqlx::Error> {
    let pid: Option<i32> = row.try_get("pid")?;
    let holder = HolderStatus {
        pid,
        user: row.try_get("user_name")?,
        application: row.try_get("application")?,
        age_seconds: row.try_get("age_seconds")?,
        prepared: pid.is_none(),
    };
    Ok((row.try_get("segment")?, holder))
}
