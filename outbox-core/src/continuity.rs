//! Continuity: whether this is the log that was read, at the place where it was read, and how a break is mended.
//!
//! A clean failover or an upgrade changes everything a server says of itself and must go on; a copy says all the same and
//! must not be trusted. So three things are compared, and nothing is published before:
//!
//! | what | with what | where it breaks |
//! |---|---|---|
//! | the log: position and last events | a relay at work: its memory; a new one: the stored checkpoint | a restore, a standby that lagged, a sequence set back |
//! | the place: address, or the running server | the rows `address:…` and `server` of `outbox_meta` | a copy at another address |
//! | the instance | what the configuration expects, and what the relay has met before | another outbox at the same address |
//!
//! [`Mender`] says how it stands, and mends what can be mended: [`Plan`] sets checkpoints back to the newest event that is
//! still the same, so that what follows is published again, and lets positions go on above all that were ever given out.

mod place;
mod plan;
mod sight;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::Serialize;

pub use self::place::{Place, Register, address};
pub use self::plan::{Break, Log, Plan, Raise, Reader, asked_for};
pub use self::sight::Sight;
use crate::doctor::Finding;
use crate::error::{StoreError, StoreErrorKind};
use crate::partition::named;

/// How an outbox stands with its past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Continuity {
    /// The outbox's own id.
    pub instance: String,
    /// The addresses at which relays have worked it, or that were adopted.
    pub addresses: Vec<String>,
    /// The address of this look.
    pub address: String,
    /// Why a relay would not work it here; `None` where it would.
    pub refused: Option<String>,
    /// The subscriptions, and the exports by name as `export:NAME`.
    pub readers: Vec<ReaderContinuity>,
}

/// Whether a reader would find the log as it left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReaderContinuity {
    /// Its name.
    pub subscription: String,
    /// Its partition.
    pub partition: i32,
    /// What is not as it was; `None` where all is.
    pub broken: Option<String>,
}

/// Who does it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
}

/// ` by ACTOR: REASON`, as it follows a time in `outbox_meta`.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " by {}", self.actor)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

/// What an adoption changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adoption {
    /// The addresses recorded before.
    pub before: Vec<String>,
    /// The one that is recorded now.
    pub address: String,
    /// The instance before.
    pub instance_before: String,
    /// The instance now; the same unless a new one was asked for.
    pub instance: String,
}

/// Says how an outbox stands with its past, and mends it, over a connection of its own.
#[async_trait]
pub trait Mender: Send {
    /// How it stands. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after any error this value is of no further use.
    async fn examine(&mut self) -> Result<Continuity, StoreError>;

    /// What [`Mender::repair`] would do. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Mender::examine`].
    async fn plan(&mut self, subscription: Option<&str>) -> Result<Plan, StoreError>;

    /// Mends one subscription, or all readers, in one transaction, and returns what was done.
    ///
    /// Positions go on above all that any reader has seen, also where only one subscription is mended.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Precondition`] while a relay works what is to be mended, and for a missing privilege; nothing has
    /// changed then.
    async fn repair(&mut self, subscription: Option<&str>, signature: &Signature) -> Result<Plan, StoreError>;

    /// Records this address as one at which relays may work; with `new_instance` the outbox becomes another one, which knows
    /// this address alone.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Precondition`] for a missing privilege, and where a new instance is asked for while a relay works.
    async fn adopt(&mut self, new_instance: bool, signature: &Signature) -> Result<Adoption, StoreError>;
}

/// The log is not the one that was read: says so, and which command comes next.
pub fn another_log(what: &str) -> StoreError {
    let message = format!(
        "this is not the log the relay knows: {what}; the database was restored, replaced by an older copy or a standby that \
         lagged, or events were deleted by hand; nothing more is published, lest events be lost or repeated: \
         bring the newer database back, or run `outbox-relay repair --plan`"
    );
    StoreError::new(StoreErrorKind::Continuity, message)
}

/// The outbox is another one than was met before, or than the configuration expects.
pub fn another_instance(found: &str, expected: &str, who: &str) -> StoreError {
    let message = format!(
        "the outbox here is the instance {found}, and {who} {expected}; check the database URL, or, if this one is meant, \
         write its instance into `expect_instance` and start the relay again"
    );
    StoreError::new(StoreErrorKind::Continuity, message)
}

impl Continuity {
    /// Instance, address, and each subscription, as findings.
    pub fn findings(&self) -> Vec<Finding> {
        let place = match &self.refused {
            Some(why) => {
                Finding::failed("address", why, "run `outbox-relay adopt` if this is no copy, or is meant to publish")
            }
            None if self.addresses.is_empty() => Finding::ok("address", "none is recorded before the first `run`"),
            None => Finding::ok("address", self.addresses.join(", ")),
        };
        let subscription = |(name, broken): (&str, Option<String>)| {
            let check = format!("continuity {name}");
            match broken {
                Some(broken) => Finding::failed(check, broken, "run `outbox-relay repair --plan`"),
                None => Finding::ok(check, "the log is the one that was read"),
            }
        };
        let instance = Finding::ok("instance", &self.instance);
        [instance, place].into_iter().chain(self.subscriptions().map(subscription)).collect()
    }

    /// Each subscription and export, with what is not as it was, and in which of its partitions where it has several.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&str, Option<String>)> {
        let of_one = |readers: &[ReaderContinuity]| {
            let mut broken: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
            for reader in readers {
                if let Some(what) = &reader.broken {
                    broken.entry(what).or_default().push(reader.partition.unsigned_abs());
                }
            }
            let has_several = readers.iter().any(|reader| reader.partition > 0);
            let told = broken.into_iter().map(|(what, partitions)| {
                if has_several { format!("{}: {what}", named(partitions)) } else { what.to_owned() }
            });
            Some(told.collect::<Vec<_>>().join("; ")).filter(|told| !told.is_empty())
        };
        let same = |one: &ReaderContinuity, next: &ReaderContinuity| one.subscription == next.subscription;
        self.readers.chunk_by(same).map(move |readers| (readers[0].subscription.as_str(), of_one(readers)))
    }
}

/// What is said of a repair or a new instance while relays work.
pub fn at_work(owner: &str, subscription: &str) -> StoreError {
    let message = format!(
        "relay `{owner}` works subscription `{subscription}`; stop it first, or wait until its lease has run out"
    );
    StoreError::new(StoreErrorKind::Precondition, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_subscription_is_one_finding_however_many_partitions_it_has() {
        let reader = |(subscription, partition, broken): (&str, i32, Option<&str>)| ReaderContinuity {
            subscription: subscription.into(),
            partition,
            broken: broken.map(str::to_owned),
        };
        let (gone, other) = (Some("position 7 is gone"), Some("position 9 holds another event"));
        let readers = [
            ("audit", 0, None),
            ("audit", 1, None),
            ("billing", 0, gone),
            ("billing", 1, gone),
            ("billing", 2, None),
            ("billing", 3, other),
            ("export:daily", 0, gone),
        ];
        let known = Continuity {
            instance: "0190-a".into(),
            addresses: Vec::new(),
            address: String::new(),
            refused: None,
            readers: readers.map(reader).into(),
        };
        let findings = known.findings();
        let told: Vec<_> =
            findings[2..].iter().map(|each| (each.verdict, format!("{}: {}", each.check, each.found))).collect();
        let billing = "partitions 0-1: position 7 is gone; partition 3: position 9 holds another event";
        let expected = [
            (Verdict::Ok, "continuity audit: the log is the one that was read".to_owned()),
            (Verdict::Failed, format!("continuity billing: {billing}")),
            (Verdict::Failed, "continuity export:daily: position 7 is gone".to_owned()),
        ];
        assert_eq!(told, expected);
    }
}
