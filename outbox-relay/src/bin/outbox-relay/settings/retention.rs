//! How long events are kept, and how much of them.

use std::path::PathBuf;
use std::time::Duration;

use outbox_core::schema::MAX_SEGMENTS;
use outbox_core::{OnMaxDisk, Retention};

use super::database::Kind;
use super::section::Section;
use crate::problem::{Place, Placed, Problems};
use crate::quantity;

/// What one source says of retention.
#[derive(Debug, Default)]
pub(crate) struct RetentionLayer {
    keep: Option<Placed<Duration>>,
    segments: Option<Placed<u8>>,
    max_disk: Option<Placed<u64>>,
    on_max_disk: Option<Placed<Policy>>,
    archive: Option<Placed<PathBuf>>,
}

/// What happens to a log that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Hold,
    Archive,
    Cut,
}

impl RetentionLayer {
    /// Takes one source's words.
    pub(crate) fn read(section: &mut dyn Section, problems: &mut Problems) -> Self {
        Self {
            keep: section.text("keep", problems).and_then(|keep| keep.parse(problems, quantity::duration)),
            segments: section.number("segments", problems).and_then(|count| count.parse(problems, segments)),
            max_disk: section.text("max_disk", problems).and_then(|size| size.parse(problems, quantity::positive_size)),
            on_max_disk: section.text("on_max_disk", problems).and_then(|policy| policy.parse(problems, policy_of)),
            archive: section.text("archive", problems).and_then(|folder| folder.parse(problems, folder_of)),
        }
    }

    fn or(self, lower: Self) -> Self {
        Self {
            keep: self.keep.or(lower.keep),
            segments: self.segments.or(lower.segments),
            max_disk: self.max_disk.or(lower.max_disk),
            on_max_disk: self.on_max_disk.or(lower.on_max_disk),
            archive: self.archive.or(lower.archive),
        }
    }

    /// Takes each setting from the first layer that has it, and the rest from the library.
    pub(crate) fn resolve(layers: [Self; 2], kind: Option<Kind>, problems: &mut Problems) -> Retention {
        let [upper, lower] = layers;
        let all = upper.or(lower);
        if kind == Some(Kind::Sqlite) {
            all.pass_over_on_sqlite();
        }
        let default = Retention::default();
        Retention {
            on_max_disk: policy(all.on_max_disk, all.archive, problems),
            keep: all.keep.map_or(default.keep, |keep| keep.value),
            segments: all.segments.map_or(default.segments, |segments| segments.value),
            max_disk: all.max_disk.map_or(default.max_disk, |bytes| bytes.value),
            ..default
        }
    }

    /// One file, in which events are removed one by one, has neither segments nor a size that cleaning could change. A file of
    /// settings for several databases is no mistake, so that is said and no more.
    fn pass_over_on_sqlite(&self) {
        let given = [
            ("segments", self.segments.is_some()),
            ("max_disk", self.max_disk.is_some()),
            ("on_max_disk", self.on_max_disk.is_some()),
        ];
        for (key, _) in given.iter().filter(|(_, is_given)| *is_given) {
            tracing::warn!(
                "`{key}` is for PostgreSQL and does nothing here, for SQLite's file never shrinks; write keep"
            );
        }
    }
}

fn policy(policy: Option<Placed<Policy>>, archive: Option<Placed<PathBuf>>, problems: &mut Problems) -> OnMaxDisk {
    let value = policy.as_ref().map_or(Policy::Hold, |policy| policy.value);
    let place = policy.map(|policy| policy.place);
    match (value, archive) {
        (Policy::Archive, Some(folder)) => return OnMaxDisk::Archive(folder.value),
        (Policy::Archive, None) => missing(place.as_ref(), problems),
        (_, Some(folder)) => {
            problems.at(
                &folder.place,
                "an archive is written where on_max_disk = \"archive\" alone; write that, or leave it out",
            );
        }
        (Policy::Cut, None) => return OnMaxDisk::Cut,
        (Policy::Hold, None) => {}
    }
    OnMaxDisk::Hold
}

fn missing(place: Option<&Place>, problems: &mut Problems) {
    if let Some(place) = place {
        problems.at(place, "`archive` needs a folder beside it, such as archive = \"/var/lib/shop/archive\"");
    }
}

fn segments(text: &str) -> Result<u8, String> {
    let legal = text.parse().ok().filter(|segments| (1..=MAX_SEGMENTS).contains(segments));
    legal.ok_or_else(|| format!("`{text}` segments cannot be; write 1 to {MAX_SEGMENTS}"))
}

fn policy_of(text: &str) -> Result<Policy, String> {
    match text {
        "hold" => Ok(Policy::Hold),
        "archive" => Ok(Policy::Archive),
        "cut" => Ok(Policy::Cut),
        _ => Err(format!("`{text}` is nothing to do; write hold, archive or cut")),
    }
}

fn folder_of(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the folder has no name; write its path".to_owned()) } else { Ok(PathBuf::from(text)) }
}
