//! The file of JSON Lines that the relay writes: read whole for the oracle, followed while it grows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use uuid::Uuid;

use crate::conformance::waiting::between_looks;
use crate::oracle::{Oracle, Sighting};

/// The part of a line that the oracle needs.
#[derive(Deserialize)]
struct Line<'a> {
    specversion: &'a str,
    id: &'a str,
    partitionkey: &'a str,
    sequence: &'a str,
    #[serde(default)]
    replayed: bool,
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    k: &'a str,
    ver: u64,
}

/// Reads a line as the contract has it: CloudEvents 1.0 with key, position in 20 digits, and the writer's payload.
pub fn sighting(line: &str) -> Option<Sighting> {
    let line: Line<'_> = serde_json::from_str(line).ok()?;
    let whole = line.specversion == "1.0" && line.sequence.len() == 20 && line.data.k == line.partitionkey;
    whole.then_some(())?;
    Some(Sighting {
        key: line.partitionkey.to_owned(),
        version: line.data.ver,
        id: Uuid::parse_str(line.id).ok()?,
        position: line.sequence.parse().ok()?,
        replayed: line.replayed,
    })
}

/// Shows the oracle every line; a last one without its line feed is torn.
///
/// # Errors
///
/// When the file cannot be read.
pub fn observe(oracle: &mut Oracle, lines: impl BufRead) -> io::Result<()> {
    for line in lines.split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        match sighting(&line) {
            Some(sighting) => oracle.observe(sighting),
            None => oracle.observe_torn(&line),
        }
    }
    Ok(())
}

/// What the oracle makes of a whole file.
///
/// # Errors
///
/// When the file cannot be read.
pub fn read(path: &Path) -> Result<Oracle> {
    let mut file = File::open(path).with_context(|| format!("the relay wrote no {}", path.display()))?;
    let mut oracle = Oracle::default();
    observe(&mut oracle, BufReader::new(&file))?;
    if ends_without_line_feed(&mut file)? {
        oracle.observe_torn("the last line lacks its line feed");
    }
    Ok(oracle)
}

fn ends_without_line_feed(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Follows a file from its present end.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
}

impl Tail {
    /// Begins at the present end; a file that does not exist yet is empty.
    pub fn from_end(path: &Path) -> Self {
        let offset = path.metadata().map_or(0, |metadata| metadata.len());
        Self { path: path.to_owned(), offset, rest: Vec::new() }
    }

    /// Begins at the beginning.
    pub fn from_start(path: &Path) -> Self {
        Self { path: path.to_owned(), offset: 0, rest: Vec::new() }
    }

    /// Waits until so many whole lines have come.
    ///
    /// # Errors
    ///
    /// When fewer came within the time.
    pub async fn wait_for_lines(&mut self, lines: usize, at_most: Duration) -> Result<()> {
        let start = Instant::now();
        let mut come = 0;
        while start.elapsed() < at_most {
            come += self.lines()?.len();
            if come >= lines {
                return Ok(());
            }
            between_looks().await;
        }
        bail!("{come} of {lines} lines came within {at_most:?}")
    }

    /// Waits until a whole line has come that holds the text.
    ///
    /// # Errors
    ///
    /// When none came within the time.
    pub async fn wait_for(&mut self, text: &str, at_most: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < at_most {
            if self.lines()?.iter().any(|line| line.contains(text)) {
                return Ok(());
            }
            between_looks().await;
        }
        bail!("no line with {text} came within {at_most:?}")
    }

    /// The whole lines that have come since the last look.
    fn lines(&mut self) -> Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let read = file.read_to_end(&mut self.rest)?;
        self.offset += u64::try_from(read)?;
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else { return Ok(Vec::new()) };
        let lines: Vec<u8> = self.rest.drain(..=end).collect();
        Ok(String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::oracle::Truth;

    const LINE: &str = r#"{"specversion":"1.0","id":"01a1f8df-7ecd-7835-b902-9d077d031be4","source":"/outbox/shop","type":"torture","topic":"torture","time":"2026-01-01T00:00:00.000000Z","partitionkey":"k-1","sequence":"00000000000000000007","datacontenttype":"application/json","data":{"k":"k-1","ver":1}}"#;

    fn findings(text: &str) -> crate::oracle::Findings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, text).unwrap();
        let truth = Truth { counters: [("k-1".to_owned(), 1)].into(), positions: 1, ..Truth::default() };
        read(&path).unwrap().judge(&truth)
    }

    #[test]
    fn a_line_of_the_contract_is_read() {
        let sighting = sighting(LINE).unwrap();
        assert_eq!((sighting.key.as_str(), sighting.version, sighting.position), ("k-1", 1, 7));
        assert!(findings(&format!("{LINE}\n")).is_clean(0));
    }

    #[test]
    fn half_a_line_in_the_middle_and_at_the_end_is_torn() {
        let (half, _) = LINE.split_at(LINE.len() / 2);
        assert_eq!(findings(&format!("{half}\n{LINE}\n")).torn, 1);
        assert_eq!(findings(&format!("{LINE}\n{half}")).torn, 2);
        assert_eq!(findings(LINE).torn, 1);
        assert_eq!(findings(&format!("{half}{LINE}\n")).torn, 1);
    }

    #[test]
    fn a_payload_under_another_key_is_no_whole_event() {
        assert_eq!(sighting(&LINE.replace(r#""k":"k-1""#, r#""k":"k-2""#)), None);
    }
}
