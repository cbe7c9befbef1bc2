//! Planted mistakes, each of which the simulation must find.

use super::oracle::Violation;

/// A mistake at a seam that the relay depends on: what a database, a publisher or a clock would do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Who holds the log's lock is looked up before the rows are read.
    SampleBeforeSnapshot,
    /// A read brings the rows of the snapshot before, with a new look at the holders.
    BuryOnOldSnapshot,
    /// A read that a limit cut short says that it was not.
    JudgeBeyondLimit,
    /// Prepared transactions are shown as sessions.
    ForgetPrepared,
    /// Events are read that a crash of the server takes back.
    ReadBeforeDurable,
    /// Nothing is read that was written after the oldest open transaction began, whatever that does.
    WaitForStrangers,
    /// Who held the log's lock is shown as a holder for ever.
    HoldersNeverEnd,
    /// A claim succeeds under an old epoch.
    ForgetEpochOfClaim,
    /// A checkpoint is written under an old epoch.
    ForgetEpochOfCheckpoint,
    /// A checkpoint is written that was given up before its row was claimed anew.
    ForgetClaim,
    /// Dead letters are written under an old epoch.
    ForgetEpochOfLetters,
    /// A lease that is another relay's is renewed.
    ForgetEpochOfRenewal,
    /// A checkpoint below the stored one is written.
    DropLowerPosition,
    /// A checkpoint is confirmed and not written.
    ConfirmUnwritten,
    /// What a checkpoint owes is forgotten when it is claimed.
    HoleLostOnRestart,
    /// The new checkpoints of a changed number of partitions begin at the highest of the old ones.
    ForgetTheSlowest,
    /// Letters are written a moment after the checkpoint that no longer owes their events.
    ParkOutside,
    /// What was requeued is sent behind what waited for it.
    RequeueAtTail,
    /// A segment is emptied because its last event lies below every position.
    EmptyOnMax,
    /// A relay that armed sees what it saw before.
    WakeWithoutReread,
    /// Arming does not tell that the log has moved.
    ArmWithoutLooking,
    /// The publisher says that it holds what it does not hold yet.
    AckBeforePublish,
    /// The publisher says that it keeps order and does not.
    LieAboutOrder,
    /// The clock that leases are trusted by stands still while the process does.
    TrustWithoutClock,
}

impl Mutant {
    /// Each of them.
    pub const ALL: [Self; 24] = [
        Self::SampleBeforeSnapshot,
        Self::BuryOnOldSnapshot,
        Self::JudgeBeyondLimit,
        Self::ForgetPrepared,
        Self::ReadBeforeDurable,
        Self::WaitForStrangers,
        Self::HoldersNeverEnd,
        Self::ForgetEpochOfClaim,
        Self::ForgetEpochOfCheckpoint,
        Self::ForgetClaim,
        Self::ForgetEpochOfLetters,
        Self::ForgetEpochOfRenewal,
        Self::DropLowerPosition,
        Self::ConfirmUnwritten,
        Self::HoleLostOnRestart,
        Self::ForgetTheSlowest,
        Self::ParkOutside,
        Self::RequeueAtTail,
        Self::EmptyOnMax,
        Self::WakeWithoutReread,
        Self::ArmWithoutLooking,
        Self::AckBeforePublish,
        Self::LieAboutOrder,
        Self::TrustWithoutClock,
    ];

    /// The assertion that must kill it; no two have the same.
    pub fn killed_by(self) -> Violation {
        match self {
            Self::SampleBeforeSnapshot => Violation::PassedOpen,
            Self::BuryOnOldSnapshot => Violation::PassedUnseen,
            Self::JudgeBeyondLimit => Violation::PassedUnread,
            Self::ForgetPrepared => Violation::PassedPrepared,
            Self::ReadBeforeDurable => Violation::Invented,
            Self::WaitForStrangers => Violation::Withheld,
            Self::HoldersNeverEnd => Violation::HoleCarried,
            Self::ForgetEpochOfClaim => Violation::StaleClaim,
            Self::ForgetEpochOfCheckpoint => Violation::StaleCheckpoint,
            Self::ForgetClaim => Violation::LateCheckpoint,
            Self::ForgetEpochOfLetters => Violation::StaleLetters,
            Self::ForgetEpochOfRenewal => Violation::StaleRenewal,
            Self::DropLowerPosition => Violation::WentBack,
            Self::ConfirmUnwritten => Violation::CheckpointLost,
            Self::HoleLostOnRestart => Violation::OwedForgotten,
            Self::ForgetTheSlowest => Violation::BoundaryCrossed,
            Self::ParkOutside => Violation::LetterLost,
            Self::RequeueAtTail => Violation::OvertookParked,
            Self::EmptyOnMax => Violation::EmptiedOwed,
            Self::WakeWithoutReread => Violation::WokenLate,
            Self::ArmWithoutLooking => Violation::NeverWoken,
            Self::AckBeforePublish => Violation::Unpublished,
            Self::LieAboutOrder => Violation::Swapped,
            Self::TrustWithoutClock => Violation::TwoOwners,
        }
    }
}
