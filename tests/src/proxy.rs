//! A TCP proxy between a client and a server, which cuts, delays and stops forwarding as a network does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A proxy at work; dropping it cuts every connection.
pub struct Proxy {
    address: SocketAddr,
    weather: Arc<Weather>,
    accepting: JoinHandle<()>,
}

/// What becomes of all that passes, until it is told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// It is forwarded.
    #[default]
    Clear,
    /// It is held back, and forwarded afterwards.
    Stalled,
    /// What goes one way is lost, while the connection seems to be there; it is cut afterwards.
    Swallows(Way),
    /// A piece is forwarded by half, and the connection is reset.
    Torn,
    /// It is forwarded a few bytes at a time.
    Drips,
    /// New connections are reset, and so are those that are open once something passes or they are [cut](Proxy::cut).
    Refused,
}

/// Where something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What the client says.
    ToServer,
    /// What the server answers.
    ToClient,
}

/// So many bytes drip at a time, and so long after the last ones.
const DROP: (usize, Duration) = (32, Duration::from_millis(5));

/// What happens to connections; they are numbered in the order they came.
struct Weather {
    /// Where new connections lead.
    server: Mutex<String>,
    /// Connections up to this number are cut.
    cut_to: watch::Sender<u64>,
    /// Connections up to this number forward nothing, and nobody is told.
    silent_to: watch::Sender<u64>,
    delay: Mutex<Duration>,
    mood: watch::Sender<Mood>,
    /// What connections are known by that have sent it.
    marks: Mutex<Vec<&'static str>>,
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
            mood: watch::Sender::default(),
            marks: Mutex::default(),
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

    /// The same with its host.
    pub fn address(&self) -> String {
        self.address.to_string()
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

    /// Treats every connection so from now on, those that are open and those to come.
    pub fn mood(&self, mood: Mood) {
        self.weather.mood.send_replace(mood);
    }

    /// Tells how many connections have come.
    pub fn accepted(&self) -> watch::Receiver<u64> {
        self.weather.accepted.subscribe()
    }

    /// From now on connections are known by whether they have sent the text `mark`.
    pub fn know_by(&self, mark: &'static str) {
        let mut marks = self.weather.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }

    /// Lays a trap: the next connection that has sent the text `mark`, since connections are [known by](Proxy::know_by) it, and
    /// then sends a piece that begins with `message` is cut once the server has answered, and the client never sees the answer.
    pub fn swallow_answer(&self, mark: &'static str, message: u8) {
        self.know_by(mark);
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
    while let Ok((mut client, _)) = listener.accept().await {
        weather.accepted.send_modify(|accepted| *accepted += 1);
        let number = *weather.accepted.borrow();
        let server = weather.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let weather = weather.clone();
        connections.spawn(async move {
            let mut cut = weather.cut_to.subscribe();
            tokio::select! {
                // An end of either side ends both, whatever the reason.
                _ = carry(&mut client, &server, number, &weather) => {}
                _ = cut.wait_for(|cut_to| *cut_to >= number) => {}
            }
            if matches!(*weather.mood.borrow(), Mood::Refused | Mood::Torn) {
                // A reset; where the system does not do that, an ordinary end.
                let _ = client.set_zero_linger();
            }
        });
    }
}

async fn carry(client: &mut TcpStream, server: &str, number: u64, weather: &Weather) -> io::Result<()> {
    if *weather.mood.borrow() == Mood::Refused {
        return Ok(());
    }
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let (mut request, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut sent = Vec::new();
    loop {
        tokio::select! {
            size = from_client.read(&mut request) => {
                let piece = &request[..size?];
                if piece.is_empty() {
                    return Ok(());
                }
                weather.hold_back(number).await;
                if !weather.forward(piece, Way::ToServer, &mut to_server).await? {
                    return Ok(());
                }
                if weather.springs_trap(piece, &mut sent) {
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
                if !weather.forward(piece, Way::ToClient, &mut to_client).await? {
                    return Ok(());
                }
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

    /// Does to a piece what the mood is for; whether the connection goes on.
    async fn forward(&self, piece: &[u8], way: Way, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<bool> {
        let mood = *self.mood.borrow();
        match mood {
            Mood::Stalled => self.until_not(mood).await,
            Mood::Swallows(swallowed) if swallowed == way => {
                self.until_not(mood).await;
                return Ok(false);
            }
            Mood::Torn => {
                to.write_all(&piece[..piece.len() / 2]).await?;
                return Ok(false);
            }
            Mood::Refused => return Ok(false),
            Mood::Drips => return self.drip(piece, to).await.map(|()| true),
            Mood::Clear | Mood::Swallows(_) => {}
        }
        to.write_all(piece).await?;
        Ok(true)
    }

    async fn until_not(&self, mood: Mood) {
        // The weather outlives every connection, so there is always a sender.
        let _ = self.mood.subscribe().wait_for(|now| *now != mood).await;
    }

    #[expect(clippy::disallowed_methods, reason = "the pace of a slow network is what it plays")]
    async fn drip(&self, piece: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        for drop in piece.chunks(DROP.0) {
            to.write_all(drop).await?;
            if *self.mood.borrow() == Mood::Drips {
                tokio::time::sleep(DROP.1).await;
            }
        }
        Ok(())
    }

    /// Whether the piece, of a connection that has sent these marks before, is the one that somebody lies in wait for.
    fn springs_trap(&self, piece: &[u8], sent: &mut Vec<&'static str>) -> bool {
        let mut trap = self.trap.lock().unwrap_or_else(PoisonError::into_inner);
        let springs = trap.as_ref().is_some_and(|trap| sent.contains(&trap.mark) && piece[0] == trap.message);
        if springs {
            *trap = None;
        }
        let holds = |mark: &str| piece.windows(mark.len()).any(|window| window == mark.as_bytes());
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<_> = marks.iter().filter(|mark| !sent.contains(mark) && holds(mark)).collect();
        sent.extend(new);
        springs
    }
}
