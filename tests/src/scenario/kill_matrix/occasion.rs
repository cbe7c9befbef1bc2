//! What must happen before a process comes to a failpoint.

use outbox_relay::failpoint::Failpoint;

use super::Kind;

/// What brings a process to a failpoint; the first ones end a relay, those from `Requeue` on an operator's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Its everyday work.
    Work,
    /// A signal to stop.
    Stop,
    /// Another relay that takes its share.
    SecondRelay,
    /// A start with another number of partitions.
    OtherNumber,
    /// A log of which everything may go that everybody has passed.
    Cleanup,
    /// A log that is too large, and that a dead subscription has not read.
    Overfull,
    /// An event that will not pass.
    Parking,
    /// An event that would not pass, mended, and one behind it that will not pass either.
    Requeueing,
    /// `dead-letters requeue`.
    Requeue,
    /// `dead-letters skip`.
    Skip,
    /// `dead-letters discard`.
    Discard,
    /// `replay`.
    Replay,
}

impl Occasion {
    /// All that lead to the place: an operator's decision is one of three.
    pub(super) fn of(place: Failpoint) -> &'static [Self] {
        use Failpoint as P;
        match place {
            P::BeforeRelease | P::LeaseReleased | P::StopBegun | P::StopSettled => &[Self::Stop],
            P::HandOverBegun | P::HandOverSettled | P::HandedOver => &[Self::SecondRelay],
            P::BeforeRepartition | P::Repartitioned => &[Self::OtherNumber],
            P::BeforeTurn | P::Turned | P::BeforeEmptying | P::EmptyingSent | P::Emptied => &[Self::Cleanup],
            P::ArchiveWritten | P::Archived => &[Self::Overfull],
            P::BeforeParking | P::Parked => &[Self::Parking],
            P::LettersTaken | P::LetterSent | P::LetterRemoved | P::BeforeReturn | P::LettersReturned => {
                &[Self::Requeueing]
            }
            P::BeforeDecision | P::DecisionSent | P::Decided => &[Self::Requeue, Self::Skip, Self::Discard],
            P::ReplayBegun | P::PageSent | P::PageHandedOver | P::ReplayDone => &[Self::Replay],
            _ => &[Self::Work],
        }
    }

    /// Whether anybody comes to the place at all: on a file there is one segment, and one relay works all partitions.
    pub(super) fn leads_to(self, place: Failpoint, kind: Kind) -> bool {
        let segments = matches!(place, Failpoint::BeforeTurn | Failpoint::Turned) || self == Self::Overfull;
        kind == Kind::Postgres || !(segments || self == Self::SecondRelay)
    }

    /// Whether it is an operator's command that ends, beside a relay that lives on.
    pub(super) fn is_operators(self) -> bool {
        matches!(self, Self::Requeue | Self::Skip | Self::Discard | Self::Replay)
    }

    /// Whether an event is to be written that will not pass.
    pub(super) fn is_poisoned(self) -> bool {
        matches!(self, Self::Parking | Self::Requeue | Self::Skip | Self::Discard)
    }

    /// How often the place is passed before the end: a little later each time, where it can be.
    pub(super) fn passes(self, place: Failpoint, pass: u32) -> u32 {
        let turns = |turns| (pass - 1) % turns + 1;
        match (self, place) {
            (_, Failpoint::LeaseAcquired) => 1,
            // The messages of one transaction, or of a statement and what prepares it.
            (_, Failpoint::PageSent) => turns(4),
            (_, Failpoint::DecisionSent) => turns(2),
            (Self::Work | Self::Parking, _) => 1 + 2 * (pass - 1),
            (Self::Requeueing, _) => turns(6),
            _ => 1,
        }
    }

    /// Flags that a relay is started with.
    pub(super) fn partitions(self) -> &'static [&'static str] {
        match self {
            Self::SecondRelay | Self::OtherNumber => &["--partitions", "4"],
            _ => &[],
        }
    }
}
