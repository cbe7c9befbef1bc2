//! Publisher URLs.

use std::path::{Path, PathBuf};

/// Where a subscription publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublisherUrl {
    /// JSON Lines on standard output.
    Stdout,
    /// JSON Lines in a file.
    File(PathBuf),
    /// Nowhere.
    Null,
}

/// Schemes of later versions.
const LATER: [&str; 12] =
    ["http", "https", "kafka", "nats", "amqp", "amqps", "redis", "rediss", "mqtt", "mqtts", "sqs", "sns"];

impl PublisherUrl {
    /// Reads the URL; of one that is refused only a known scheme is shown, for it may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once(':').map_or((url, None), |(scheme, rest)| (scheme, Some(rest)));
        match (scheme, rest) {
            ("stdout", None) => Ok(Self::Stdout),
            ("null", None) => Ok(Self::Null),
            ("file", Some(rest)) => file(rest).map(Self::File),
            (scheme, Some(_)) if LATER.contains(&scheme) => {
                Err(format!("`{scheme}:` is not in this version; it publishes to stdout, file:PATH and null"))
            }
            _ => Err("not a publisher; write stdout, file:PATH or null".to_owned()),
        }
    }

    /// The file it writes, in one form whatever way it was spelt.
    pub(crate) fn file_written(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let in_folder = || Some(folder.canonicalize().ok()?.join(path.file_name()?));
        path.canonicalize().ok().or_else(in_folder).or_else(|| std::path::absolute(path).ok())
    }
}

fn file(rest: &str) -> Result<PathBuf, String> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err("`file://` needs an absolute path; write file:///PATH or file:PATH".to_owned()),
        None => rest,
    };
    if path.is_empty() || path.ends_with('/') || path.contains('\0') {
        return Err("`file:` needs the path of a file; write file:PATH, such as file:events.jsonl".to_owned());
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_spelt_in_three_ways() {
        for (url, path) in [("file:a.jsonl", "a.jsonl"), ("file:/var/a", "/var/a"), ("file:///var/a", "/var/a")] {
            assert_eq!(PublisherUrl::parse(url), Ok(PublisherUrl::File(path.into())));
        }
        let written = |url: &str| PublisherUrl::parse(url).unwrap().file_written().unwrap();
        assert_eq!(written("file:new.jsonl"), written("file:./new.jsonl"));
        assert_ne!(written("file:new.jsonl"), written("file:other.jsonl"));
    }

    #[test]
    fn what_is_refused_is_not_shown() {
        for url in [
            "",
            "canary",
            "canary:x",
            "https://ann:canary@host/",
            "file:",
            "file://canary/x",
            "file:dir/",
            "stdout:canary",
        ] {
            let message = PublisherUrl::parse(url).unwrap_err();
            assert!(!message.contains("canary") && message.contains("file:"), "{message}");
        }
    }
}
