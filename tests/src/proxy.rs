//! A TCP proxy between a client and a server, which cuts, delays and stops forwarding as a network does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A proxy at work; dropping it cuts every connection.
pub struct Proxy {
    address: SocketAddr,
    weather: Arc<Weather>,
    accepting: JoinHandle<()>,
}

/// What happens to connections; they are numbered in the order they came.
struct Weather {
    /// Where new connections lead.
    server: Mutex<String>,
    /// Connections up to this number are cut.
    cut_to: watch::Sender<u64>,
    /// Connections up to this number forward nothing, and nobody is told.
    silent_to: watch::Sender<u64>,
    delay: Mutex<Duration>,
    trap: Mutex<Option<Trap>>,
    sprung: watch::Sender<u64>,
    accepted: watch::Sender<u64>,
}

/// Cuts a connection that once sent `mark`, as soon as the server has answered a later message of the type `message`.
#[derive(Clone)]
struct Trap {
    mark: &'static str,
    message: u8,
}

impl Proxy {
    /// Starts forwarding to a server.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn to(server: impl Into<String>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let weather = Arc::new(Weather {
            server: Mutex::new(server.into()),
            cut_to: watch::Sender::new(0),
            silent_to: watch::Sender::new(0),
            delay: Mutex::default(),
            trap: Mutex::default(),
            sprung: watch::Sender::new(0),
            accepted: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, weather.clone()));
        Ok(Self { address, weather, accepting })
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Lets new connections lead to another server, as an address that moves with a failover; open ones are cut.
    pub fn lead_to(&self, server: impl Into<String>) {
        *self.weather.server.lock().unwrap_or_else(PoisonError::into_inner) = server.into();
        self.cut();
    }

    /// Cuts every connection that is open now.
    pub fn cut(&self) {
        self.weather.cut_to.send_replace(*self.weather.accepted.borrow());
    }

    /// Lets every connection that is open now fall silent without an end, as behind a router that lost its memory. New
    /// ones are forwarded.
    pub fn silence(&self) {
        self.weather.silent_to.send_replace(*self.weather.accepted.borrow());
    }

    /// Holds every piece back for so long.
    pub fn delay(&self, delay: Duration) {
        *self.weather.delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }

    /// Lays a trap: the next connection that has sent the text `mark` and then sends a piece that begins with `message`
    /// is cut once the server has answered, and the client never sees the answer.
    pub fn swallow_answer(&self, mark: &'static str, message: u8) {
        *self.weather.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some(Trap { mark, message });
    }

    /// Waits until so many traps were sprung.
    pub async fn until_sprung(&self, traps: u64) {
        // The weather lives as long as this proxy, so there is always a sender.
        let _ = self.weather.sprung.subscribe().wait_for(|sprung| *sprung >= traps).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, weather: Arc<Weather>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        weather.accepted.send_modify(|accepted| *accepted += 1);
        let number = *weather.accepted.borrow();
        let server = weather.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let weather = weather.clone();
        connections.spawn(async move {
            let mut cut = weather.cut_to.subscribe();
            tokio::select! {
                // An end of either side ends both, whatever the reason.
                _ = carry(client, &server, number, &weather) => {}
                _ = cut.wait_for(|cut_to| *cut_to >= number) => {}
            }
        });
    }
}

async fn carry(client: TcpStream, server: &str, number: u64, weather: &Weather) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut request, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut marked = false;
    loop {
        tokio::select! {
            size = from_client.read(&mut request) => {
                let piece = &request[..size?];
                if piece.is_empty() {
                    return Ok(());
                }
                weather.hold_back(number).await;
                to_server.write_all(piece).await?;
                if weather.springs_trap(piece, &mut marked) {
                    let _swallowed = from_server.read(&mut answer).await?;
                    weather.sprung.send_modify(|sprung| *sprung += 1);
                    return Ok(());
                }
            }
            size = from_server.read(&mut answer) => {
                let piece = &answer[..size?];
                if piece.is_empty() {
                    return Ok(());
                }
                weather.hold_back(number).await;
                to_client.write_all(piece).await?;
            }
        }
    }
}

impl Weather {
    #[expect(clippy::disallowed_methods, reason = "the delay of a slow network is what it plays")]
    async fn hold_back(&self, number: u64) {
        let delay = *self.delay.lock().unwrap_or_else(PoisonError::into_inner);
        tokio::time::sleep(delay).await;
        if *self.silent_to.borrow() >= number {
            std::future::pending::<()>().await;
        }
    }

    fn springs_trap(&self, piece: &[u8], marked: &mut bool) -> bool {
        let mut trap = self.trap.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Trap { mark, message }) = trap.clone() else { return false };
        let springs = *marked && piece[0] == message;
        *marked |= piece.windows(mark.len()).any(|window| window == mark.as_bytes());
        if springs {
            *trap = None;
        }
        springs
    }
}
