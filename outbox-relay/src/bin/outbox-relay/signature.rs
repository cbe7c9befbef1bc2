//! Who does something, and why, as it is recorded.

use outbox_core::continuity::Signature;

use crate::arguments::SignatureFlags;
use crate::problem::{Place, Problems};

/// A text longer than this is no name and no reason.
const LONGEST: usize = 500;

/// Takes the flags; who is not named is the user of this process.
pub(crate) fn signature(flags: &SignatureFlags) -> Result<Signature, Problems> {
    let mut problems = Problems::default();
    for (flag, text) in [("--actor", &flags.actor), ("--reason", &flags.reason)] {
        if let Some(text) = text
            && (text.trim().is_empty() || text.chars().any(char::is_control) || text.chars().count() > LONGEST)
        {
            let message = "is empty, or holds control characters or more than 500; write a short plain text";
            problems.at(&Place::Flag(flag.into()), message);
        }
    }
    problems.settle()?;
    let actor = flags.actor.clone().unwrap_or_else(user);
    Ok(Signature { actor, reason: flags.reason.clone() })
}

/// The user of this process, by name where the environment tells one.
fn user() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    named.unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()))
}
