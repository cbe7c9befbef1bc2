//! `PgBouncer` before a server, in transaction mode: each transaction may have another session.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::account::Account;
use super::{apt, complete, fetched, free_port};

/// Where distributions install it.
const INSTALLED: [&str; 2] = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];

/// Runs it until the other end of the standard input closes. It keeps nothing, and what a shell runs aside hears no lesser signal.
const GUARD: &str = r#""$1" "$2" & read -r nothing; kill -KILL $!; wait"#;

/// The last thing it says before it serves.
const UP: &str = "process up";

/// The version from which it can keep prepared statements for its clients, which the tests do without.
const KEEPS_STATEMENTS: (u32, u32) = (1, 21);

/// A pooler that ends with this value, or with the process that holds it.
#[derive(Debug)]
pub struct Pooler {
    guard: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one before the server at this address, with so many sessions for each database and user.
    ///
    /// It is the installed one, or else fetched into `target/servers`.
    ///
    /// # Errors
    ///
    /// When there is none to be had, or it does not start; the text holds its own words.
    pub fn before(host: &str, server_port: u16, sessions: u32, users: &[&str]) -> Result<Self> {
        let program = Program::obtain()?;
        let account = Account::choose()?;
        let folder = tempfile::Builder::new().prefix("outbox-pooler-").tempdir_in("/tmp")?;
        let port = free_port()?;
        let users: Vec<String> = users.iter().map(|user| format!("\"{user}\" \"\"")).collect();
        let lists = folder.path().join("users");
        fs::write(&lists, users.join("\n") + "\n")?;
        let configuration = folder.path().join("pgbouncer.ini");
        let keeps = if program.version()? >= KEEPS_STATEMENTS { "max_prepared_statements = 0\n" } else { "" };
        fs::write(
            &configuration,
            format!(
                "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\nmax_client_conn = 500\n\
                 default_pool_size = {sessions}\n{keeps}",
                lists.display()
            ),
        )?;
        for path in [folder.path(), &lists, &configuration] {
            account.give(path)?;
        }
        let mut guard = program.shell(GUARD);
        guard.arg("guard").arg(&program.path).arg(&configuration);
        guard.process_group(0).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        account.run_as(&mut guard);
        let mut pooler = Self { guard: guard.spawn().context("sh cannot be started")?, port, _folder: folder };
        pooler.until_up()?;
        Ok(pooler)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Reads what it says until it serves; the rest is read and dropped, for a full pipe would stop it.
    fn until_up(&mut self) -> Result<()> {
        let mut said = BufReader::new(self.guard.stderr.take().context("the pooler has no standard error")?);
        let (mut line, mut all) = (String::new(), String::new());
        while !line.contains(UP) {
            line.clear();
            if said.read_line(&mut line)? == 0 {
                bail!("the pooler does not start: {all}");
            }
            all.push_str(&line);
        }
        thread::spawn(move || {
            let mut rest = [0; 4096];
            while said.read(&mut rest).is_ok_and(|read| read > 0) {}
        });
        Ok(())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The program, and where its libraries are if it was fetched.
struct Program {
    path: PathBuf,
    root: Option<PathBuf>,
}

impl Program {
    fn obtain() -> Result<Self> {
        if let Some(path) = INSTALLED.iter().map(Path::new).find(|path| path.is_file()) {
            return Ok(Self { path: path.to_owned(), root: None });
        }
        let root = fetched::folder("pgbouncer", |unpacked| {
            eprintln!("PgBouncer is not installed: fetching the distribution's package");
            apt::unpack("pgbouncer", unpacked).context("PgBouncer cannot be fetched here: install it (`pgbouncer`)")
        })?;
        let path = root.join("usr/sbin/pgbouncer");
        Ok(Self { path, root: Some(root) })
    }

    fn with_libraries(&self, mut command: Command) -> Command {
        if let Some(libraries) = self.root.as_deref().and_then(apt::libraries_below) {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    fn shell(&self, script: &str) -> Command {
        let mut shell = self.with_libraries(Command::new("/bin/sh"));
        shell.args(["-c", script]);
        shell
    }

    /// Its version, such as 1.18.
    fn version(&self) -> Result<(u32, u32)> {
        let said = complete(self.with_libraries(Command::new(&self.path)).arg("--version"))?;
        version(&said).with_context(|| format!("a version is missing in {said:?}"))
    }
}

/// Reads `PgBouncer 1.18.0`.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_whitespace().nth(1)?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read() {
        assert_eq!(version("PgBouncer 1.18.0\nlibevent 2.1.12-stable\n"), Some((1, 18)));
        assert_eq!(version("PgBouncer"), None);
    }
}
