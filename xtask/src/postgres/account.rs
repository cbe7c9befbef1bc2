//! The account a server runs under: PostgreSQL refuses to run as root.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Who runs the server: the caller, or for root another account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    ids: Option<(u32, u32)>,
}

impl Account {
    /// The caller's own account; for root `postgres` where it exists, else `nobody`.
    pub(super) fn choose() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { ids: None });
        }
        let accounts = fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
        let ids = ["postgres", "nobody"].iter().find_map(|name| ids_of(&accounts, name));
        let ids =
            ids.context("PostgreSQL refuses to run as root, and there is no account postgres or nobody to use")?;
        Ok(Self { ids: Some(ids) })
    }

    /// Whether the server runs under an account that is not the caller's.
    pub(super) fn differs(self) -> bool {
        self.ids.is_some()
    }

    /// Hands a folder to the account.
    pub(super) fn give(self, path: &Path) -> Result<()> {
        let Some((user, group)) = self.ids else { return Ok(()) };
        chown(path, Some(user), Some(group)).with_context(|| format!("{} cannot change owner", path.display()))
    }

    /// Lets a command run under the account.
    pub(super) fn run_as(self, command: &mut Command) {
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
    }
}

fn ids_of(accounts: &str, name: &str) -> Option<(u32, u32)> {
    let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_ids_of_an_account() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\n";
        assert_eq!(ids_of(accounts, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(accounts, "post"), None);
    }
}
