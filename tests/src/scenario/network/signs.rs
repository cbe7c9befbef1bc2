//! Signs of life of a relay, looked for all the time.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::super::pause;
use crate::proxy::Proxy;
use crate::relay_process::Relay;

/// How often they are looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Every so many looks the relay is asked whether it is healthy.
const ASK_EVERY: u64 = 10;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Watches until it is told to end.
pub(super) struct Signs {
    stop: CancellationToken,
    watching: JoinHandle<Result<Alive>>,
}

/// How the relay lived.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Alive {
    /// The longest time without a line of either file and without an attempt to connect.
    pub(super) silent: Duration,
    /// The longest time without a line in its log, whatever came out.
    log_silent: Duration,
    /// How often it was asked, and did not say that it is healthy.
    pub(super) unhealthy: u64,
    asked: u64,
}

impl fmt::Display for Alive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { silent, log_silent, unhealthy, asked } = self;
        let (silent, log_silent) = (silent.as_millis(), log_silent.as_millis());
        write!(f, "unhealthy={unhealthy} of {asked} log_silent max={log_silent}ms no_sign_of_life max={silent}ms")
    }
}

impl Signs {
    /// Watches a relay that runs and has said where it tells its health.
    pub(super) fn watch(relay: &Relay, proxy: &Proxy) -> Result<Self> {
        let said = std::fs::read_to_string(relay.log())?;
        let address = said.lines().find_map(|line| line.split_once("http://")?.1.split('/').next()?.parse().ok());
        let life = Life {
            address: address.context("the relay does not say where it tells its health")?,
            files: [relay.output().to_owned(), relay.log().to_owned()],
            accepted: proxy.accepted(),
        };
        let stop = CancellationToken::new();
        Ok(Self { watching: tokio::spawn(life.watch(stop.clone())), stop })
    }

    /// Ends, and says what was seen.
    pub(super) async fn end(self) -> Result<Alive> {
        self.stop.cancel();
        self.watching.await?
    }
}

/// Where a relay shows that it lives.
struct Life {
    address: SocketAddr,
    files: [PathBuf; 2],
    accepted: watch::Receiver<u64>,
}

impl Life {
    async fn watch(self, stop: CancellationToken) -> Result<Alive> {
        let (mut alive, mut looks) = (Alive::default(), 0);
        let mut last = (self.signs(), Instant::now());
        let mut logged = (length(&self.files[1]), Instant::now());
        while !stop.is_cancelled() {
            pause(LOOK).await;
            let now = Instant::now();
            alive.silent = alive.silent.max(now - last.1);
            alive.log_silent = alive.log_silent.max(now - logged.1);
            let signs = self.signs();
            if signs != last.0 {
                last = (signs, now);
            }
            if signs.1 != logged.0 {
                logged = (signs.1, now);
            }
            looks += 1;
            if looks % ASK_EVERY == 0 {
                let address = self.address;
                alive.asked += 1;
                alive.unhealthy += u64::from(!spawn_blocking(move || is_healthy(address)).await?);
            }
        }
        Ok(alive)
    }

    fn signs(&self) -> (u64, u64, u64) {
        (length(&self.files[0]), length(&self.files[1]), *self.accepted.borrow())
    }
}

fn length(file: &Path) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

fn is_healthy(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream
            .write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).map(|()| answer)
    };
    ask().is_ok_and(|answer: [u8; 12]| answer == *b"HTTP/1.1 200")
}
