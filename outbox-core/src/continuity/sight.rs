//! What a look at readers and log finds, and what follows from it.

use super::plan::{Log, Plan, Reader, judge};
use super::{ReaderContinuity, StoreError};

/// What readers and log look like at one moment.
#[derive(Debug)]
pub struct Sight {
    /// The readers whose rows can be read.
    pub readers: Vec<Reader>,
    /// Subscription and partition of the other rows, and why they cannot be read.
    pub damaged: Vec<(String, i32, StoreError)>,
    /// The log.
    pub log: Log,
}

impl Sight {
    /// What there is to mend, of one subscription or of all.
    ///
    /// # Errors
    ///
    /// What is wrong with a row that cannot be read: such a one is for a person.
    pub fn plan(&self, subscription: Option<&str>) -> Result<Plan, StoreError> {
        let asked = |named: &str| subscription.is_none_or(|asked| asked == named);
        match self.damaged.iter().find(|(named, ..)| asked(named)) {
            Some((.., error)) => Err(StoreError::new(error.kind(), error.to_string())),
            None => Ok(Plan::new(&self.readers, &self.log, subscription)),
        }
    }

    /// Whether each reader would find the log as it left it, by subscription and partition.
    pub fn judge(&self) -> Vec<ReaderContinuity> {
        let damaged = self.damaged.iter().map(|(subscription, partition, error)| ReaderContinuity {
            subscription: subscription.clone(),
            partition: *partition,
            broken: Some(error.to_string()),
        });
        let mut judged: Vec<_> = judge(&self.readers, &self.log).into_iter().chain(damaged).collect();
        judged.sort_by(|a, b| (&a.subscription, a.partition).cmp(&(&b.subscription, b.partition)));
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::error::StoreErrorKind;

    #[test]
    fn a_row_that_cannot_be_read_is_told_in_its_place_and_is_for_a_person() {
        let reader = |subscription: &str, partition| Reader {
            subscription: subscription.into(),
            partition,
            checkpoint: Checkpoint::default(),
            epoch: 1,
            owner: None,
        };
        let damaged = StoreError::new(StoreErrorKind::Precondition, "its `proof` is damaged");
        let sight = Sight {
            readers: vec![reader("a", 0), reader("a", 2), reader("b", 0)],
            damaged: vec![("a".into(), 1, damaged)],
            log: Log::default(),
        };
        let judged = sight.judge();
        let told = judged.iter().map(|each| (each.subscription.as_str(), each.partition, each.broken.as_deref()));
        let damaged = Some("its `proof` is damaged");
        assert_eq!(told.collect::<Vec<_>>(), [("a", 0, None), ("a", 1, damaged), ("a", 2, None), ("b", 0, None)]);
        assert_eq!(sight.plan(None).unwrap_err().kind(), StoreErrorKind::Precondition);
        assert!(sight.plan(Some("b")).unwrap().is_empty());
    }
}
