//! Secrets: as they are, by the name of a variable, or in a file.

use super::environment::Environment;
use crate::problem::{Placed, Problems};

/// Where a secret is to be had; looked up only once it is known to be the one that counts.
pub(crate) enum SecretFrom {
    /// The secret, or `env:` and the variable that holds it.
    Text(Placed<String>),
    /// The path of a file that holds nothing else.
    File(Placed<String>),
}

impl SecretFrom {
    /// What one source says; the text goes first.
    pub(crate) fn either(text: Option<Placed<String>>, file: Option<Placed<String>>) -> Option<Self> {
        text.map(Self::Text).or(file.map(Self::File))
    }

    /// Looks it up.
    pub(crate) fn read(self, environment: &Environment, problems: &mut Problems) -> Option<Placed<String>> {
        match self {
            Self::Text(text) => match text.value.strip_prefix("env:") {
                None => Some(text),
                Some(variable) => environment.get(variable).or_else(|| {
                    problems.at(&text.place, format!("the environment variable {variable} is not set"));
                    None
                }),
            },
            Self::File(path) => path.parse(problems, |path| {
                let read = std::fs::read_to_string(path).map_err(|error| format!("cannot read `{path}`: {error}"))?;
                Ok(read.trim().to_owned())
            }),
        }
    }
}
