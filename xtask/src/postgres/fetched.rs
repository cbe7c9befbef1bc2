//! Servers that were fetched once and are kept for later runs.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::account::Account;

/// Where programs go that the server's account must reach although the checkout lies in a closed home.
const OPEN_FOLDER: &str = "/var/tmp/outbox-servers";

/// The folder of what is called `name`; the first time `unpack` fills it.
///
/// It is filled beside its place and moved, so that neither a broken nor a parallel run leaves half a server there.
pub(super) fn folder(name: &str, unpack: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let servers = servers_folder()?;
    let folder = servers.join(name);
    if !folder.exists() {
        let unpacked = tempfile::Builder::new().prefix("unpacking-").tempdir_in(&servers)?;
        unpack(unpacked.path())?;
        fs::set_permissions(unpacked.path(), fs::Permissions::from_mode(0o755))?;
        if let Err(error) = fs::rename(unpacked.path(), &folder) {
            ensure!(folder.exists(), "{} cannot be made: {error}", folder.display());
        }
    }
    Ok(folder)
}

/// `target/servers`, or a folder outside where another account could not pass through to it.
fn servers_folder() -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has no folder")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let mut folder = std::path::absolute(target)?.join("servers");
    fs::create_dir_all(&folder)?;
    let open = |part: &Path| part.metadata().is_ok_and(|data| data.permissions().mode() & 0o001 != 0);
    if Account::choose()?.differs() && !folder.ancestors().all(open) {
        folder = PathBuf::from(OPEN_FOLDER);
        fs::create_dir_all(&folder)?;
        let owner = folder.metadata()?.uid();
        ensure!(owner == rustix::process::geteuid().as_raw(), "{OPEN_FOLDER} belongs to somebody else, remove it");
    }
    Ok(folder)
}
