//! One pass: look, turn, empty what may go, see to a log that is too large, and forget dead letters that were given up.

use std::time::Duration;

use outbox_core::cleanup::{Cleaner, Cut, Ends, Obstacle, Removal, Removed, Segment, Survey};
use outbox_core::{Clock, OnMaxDisk, Retention, Store, StoreError};

use super::archive;
use super::report::{Report, Turn};
use crate::failpoint::{self, Failpoint};

/// An event that stays so much longer than it need be kept is worth a word: before, its readers may just be busy.
const LATE: Duration = Duration::from_mins(10);

/// What one pass works with.
pub(super) struct Pass<'p> {
    pub(super) store: &'p dyn Store,
    pub(super) clock: &'p dyn Clock,
    pub(super) cleaner: &'p mut dyn Cleaner,
    pub(super) retention: &'p Retention,
    pub(super) dry_run: bool,
}

impl Pass<'_> {
    pub(super) async fn run(mut self) -> Result<Report, StoreError> {
        let mut report = Report::default();
        let mut survey = self.cleaner.survey().await?;
        if let Some((from, to)) = survey.turn(self.retention) {
            self.turn(from, to, &mut survey, &mut report).await?;
        }
        report.describe(&survey);
        for (segment, ends) in survey.filled() {
            let removed = self.treat(&survey, segment, ends, &mut report).await?;
            report.note(segment.number, removed, self.dry_run);
        }
        if report.bytes.is_some_and(|bytes| bytes > self.retention.max_disk) {
            self.make_room(&survey, &mut report).await?;
        }
        report.letters = self.cleaner.forget(self.retention.keep, self.dry_run).await?;
        if !self.dry_run {
            self.cleaner.note(report.trouble.as_deref()).await?;
        }
        Ok(report)
    }

    async fn turn(&mut self, from: i16, to: i16, survey: &mut Survey, report: &mut Report) -> Result<(), StoreError> {
        if self.dry_run {
            report.turned = Some(Turn { from, to });
        } else if self.turn_to(from, to).await? {
            report.turned = Some(Turn { from, to });
            *survey = self.cleaner.survey().await?;
        }
        Ok(())
    }

    async fn turn_to(&mut self, from: i16, to: i16) -> Result<bool, StoreError> {
        failpoint::reached(Failpoint::BeforeTurn);
        let turned = self.cleaner.turn(from, to).await?;
        failpoint::reached(Failpoint::Turned);
        Ok(turned)
    }

    /// Removes what may go from a segment.
    async fn treat(
        &mut self,
        survey: &Survey,
        segment: &Segment,
        ends: Ends,
        report: &mut Report,
    ) -> Result<Removed, StoreError> {
        // In a dry run inserts have not gone on.
        let turned = self.dry_run && report.turned.is_some_and(|turn| turn.from == segment.number);
        let obstacle = survey.obstacle(segment).filter(|obstacle| !(turned && *obstacle == Obstacle::Current));
        if let Some(obstacle) = obstacle {
            let overdue = ends.first_age.is_some_and(|age| age >= (self.retention.keep + LATE).as_secs_f64());
            // A current segment is never shown as blocked for what stands against it in its ordinary life.
            if segment.current && overdue && !obstacle.passes() {
                report.trouble(format!("events older than they need be kept stay: {obstacle}"));
            }
            return Ok(Removed::Kept(obstacle));
        }
        let removal = Removal { segment: segment.number, last: ends.last, keep: self.retention.keep, cut: None };
        let removed = self.remove(removal).await?;
        // No survey shows it, and no time mends it.
        if let Removed::Kept(Obstacle::Referenced) = removed {
            report.trouble(format!("segment {} stays: {}", segment.number, Obstacle::Referenced));
        }
        Ok(removed)
    }

    async fn remove(&mut self, removal: Removal) -> Result<Removed, StoreError> {
        if self.dry_run {
            return self.cleaner.preview(&removal).await;
        }
        failpoint::reached(Failpoint::BeforeEmptying);
        let removed = failpoint::reached_waiting(Failpoint::EmptyingSent, self.cleaner.remove(&removal)).await?;
        failpoint::reached(Failpoint::Emptied);
        Ok(removed)
    }

    /// Does what the settings say about a log that is too large.
    async fn make_room(&mut self, survey: &Survey, report: &mut Report) -> Result<(), StoreError> {
        let max = self.retention.max_disk;
        let taken = |report: &Report| report.bytes.unwrap_or_default();
        let large = format!("the log takes {} MiB and may take {} MiB", taken(report) >> 20, max >> 20);
        if self.retention.on_max_disk == OnMaxDisk::Hold {
            let why = "on_max_disk is hold, so nothing goes that is young or unread";
            report
                .trouble(format!("{large}; {why}: raise max_disk, shorten keep, or set on_max_disk to archive or cut"));
            return Ok(());
        }
        for (segment, ends) in survey.filled() {
            if taken(report) <= max {
                return Ok(());
            }
            if is_gone(report, segment) {
                continue;
            }
            if let Some(why) = self.sacrifice(survey, segment, ends, report).await? {
                report.trouble(format!("{large}; segment {} stays: {why}", segment.number));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Empties a segment whatever its age, and cuts the dead off that pin it; says why where that is not to be done.
    async fn sacrifice(
        &mut self,
        survey: &Survey,
        segment: &Segment,
        ends: Ends,
        report: &mut Report,
    ) -> Result<Option<String>, StoreError> {
        if let Some(living) = survey.pins(segment).find(|reader| !reader.is_dead()) {
            return Ok(Some(format!("`{}` lives and has still to read it", living.name)));
        }
        if segment.current && survey.segments.len() > 1 {
            return self.give_way(survey, segment, report).await;
        }
        if survey.readers.is_empty() {
            return Ok(Some(Obstacle::NobodyReads.to_string()));
        }
        let dead: Vec<String> = survey.pins(segment).map(|reader| reader.name.clone()).collect();
        let reason = match self.archive(ends, report).await? {
            Ok(reason) => reason,
            Err(why) => return Ok(Some(why)),
        };
        // Where everybody was cut off before, that is who does not count.
        let before = survey.readers.iter().filter(|reader| reader.cut_off).map(|reader| reader.name.clone());
        let readers = dead.iter().cloned().chain(before).collect();
        let cut = Some(Cut { readers, reason });
        let removal = Removal { segment: segment.number, last: ends.last, keep: Duration::ZERO, cut };
        match self.remove(removal).await? {
            Removed::Kept(obstacle) => Ok(Some(obstacle.to_string())),
            gone @ Removed::Gone(_) => {
                report.note(segment.number, gone, self.dry_run);
                let new = dead.into_iter().filter(|reader| !report.cut_off.contains(reader)).collect::<Vec<_>>();
                report.cut_off.extend(new);
                Ok(None)
            }
        }
    }

    /// Lets inserts go on elsewhere, so that the next pass can empty what is current now.
    async fn give_way(
        &mut self,
        survey: &Survey,
        current: &Segment,
        report: &mut Report,
    ) -> Result<Option<String>, StoreError> {
        let Some(to) = survey.free(self.retention).filter(|_| report.turned.is_none()) else {
            return Ok(Some(Obstacle::Current.to_string()));
        };
        if self.dry_run || self.turn_to(current.number, to).await? {
            report.turned = Some(Turn { from: current.number, to });
        }
        Ok(Some("the next pass empties it".to_owned()))
    }

    /// Writes what is about to be removed into a file, where that is asked for; returns what those cut off are told.
    async fn archive(&mut self, ends: Ends, report: &mut Report) -> Result<Result<String, String>, StoreError> {
        let said = format!(
            "the log had grown beyond max_disk ({} MiB), so events that it had not read were removed",
            self.retention.max_disk >> 20
        );
        let OnMaxDisk::Archive(folder) = &self.retention.on_max_disk else { return Ok(Ok(said)) };
        if self.dry_run {
            return Ok(Ok(said));
        }
        match archive::write(self.store, self.clock, folder, ends).await {
            Ok(path) => {
                report.archived.push(path);
                Ok(Ok(format!("{said}; they are in the folder {}", folder.display())))
            }
            Err(archive::Failure::Store(error)) => Err(error),
            Err(failure) => Ok(Err(failure.to_string())),
        }
    }
}

fn is_gone(report: &Report, segment: &Segment) -> bool {
    use super::Outcome::{Emptied, WouldBeEmptied};
    report
        .segments
        .iter()
        .any(|told| told.segment == segment.number && matches!(told.outcome, Emptied | WouldBeEmptied))
}
