//! A batch as JSON Lines, made piece by piece so that no more than a piece is in memory.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::{fs, io, slice};

use outbox_core::envelope::CloudEvents;
use outbox_core::publisher::{Answer, Delivery};

/// A piece ends with the line that makes it as large as this.
const PIECE: usize = 256 << 10;

/// The lines of one batch.
pub(super) struct Lines<'b> {
    envelope: &'b CloudEvents,
    rest: slice::Iter<'b, Delivery>,
    rejected: BTreeSet<&'b str>,
    answers: Vec<Answer>,
}

impl<'b> Lines<'b> {
    pub(super) fn new(envelope: &'b CloudEvents, batch: &'b [Delivery]) -> Self {
        Self { envelope, rest: batch.iter(), rejected: BTreeSet::new(), answers: Vec::with_capacity(batch.len()) }
    }

    /// The next whole lines, in the memory of the piece before; `None` at the end.
    pub(super) fn next_piece(&mut self, mut piece: Vec<u8>) -> Option<Vec<u8>> {
        piece.clear();
        while piece.len() < PIECE
            && let Some(delivery) = self.rest.next()
        {
            let answer = self.write_line(delivery, &mut piece);
            self.answers.push(answer);
        }
        (!piece.is_empty()).then_some(piece)
    }

    /// The answers for what was written, valid once it is durable.
    pub(super) fn into_answers(self) -> Vec<Answer> {
        self.answers
    }

    /// Later events of a key wait when an earlier one cannot be written.
    fn write_line(&mut self, Delivery { event, replayed, .. }: &'b Delivery, piece: &mut Vec<u8>) -> Answer {
        if self.rejected.contains(event.key.as_str()) {
            return Answer::Retry { after: None, reason: "an earlier event of its key does not pass".into() };
        }
        let written =
            if *replayed { self.envelope.write_replay(event, piece) } else { self.envelope.write_line(event, piece) };
        match written {
            Ok(()) => Answer::Published,
            Err(error) => {
                if !event.key.is_empty() {
                    self.rejected.insert(&event.key);
                }
                Answer::Reject { reason: error.to_string() }
            }
        }
    }
}

/// How many of the first `length` bytes of a file are whole lines.
pub(super) fn whole_lines(file: &fs::File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut chunk = [0; 8192];
    loop {
        let size = usize::try_from(end).unwrap_or(chunk.len()).min(chunk.len());
        let start = end - size as u64;
        file.read_exact_at(&mut chunk[..size], start)?;
        match chunk[..size].iter().rposition(|byte| *byte == b'\n') {
            Some(at) => return Ok(start + at as u64 + 1),
            None if start == 0 => return Ok(0),
            None => end = start,
        }
    }
}
