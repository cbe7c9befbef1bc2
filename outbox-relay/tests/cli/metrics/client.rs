//! A plain client of HTTP, which says what it is told and no more.
#![expect(clippy::unwrap_used, reason = "what goes wrong here ends the test that asked for it")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing here takes a part of it.
const DEADLINE: Duration = Duration::from_mins(1);

/// A client of one relay.
pub(super) struct Client(SocketAddr);

/// What was answered.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// One connection.
pub(super) struct Connection(TcpStream);

impl Client {
    /// A client of the relay that logged this line.
    pub(super) fn of(line: &str) -> Self {
        let (_, url) = line.split_once("http://").unwrap();
        let (address, _) = url.split_once('/').unwrap();
        let mut address: SocketAddr = address.parse().unwrap();
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        Self(address)
    }

    pub(super) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.0).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Connection(stream)
    }

    /// Reads a page.
    pub(super) fn get(&self, path: &str) -> Said {
        self.say(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.0))
    }

    /// Sends a whole request and reads what is answered to it.
    pub(super) fn say(&self, request: &str) -> Said {
        let mut connection = self.connect();
        connection.send(request);
        Said::parse(&connection.end())
    }
}

impl Connection {
    pub(super) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until the other side has closed the connection.
    pub(super) fn end(mut self) -> String {
        let mut text = Vec::new();
        // A connection that is closed on what was not read is reset, after what was answered.
        if let Err(error) = self.0.read_to_end(&mut text) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        String::from_utf8(text).unwrap()
    }
}

impl Said {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let said = Self { status, headers: lines.map(header).collect(), body: body.to_owned() };
        if let Some(length) = said.header("content-length").filter(|_| !body.is_empty()) {
            assert_eq!(length.parse(), Ok(body.len()), "the answer was cut off");
        }
        said
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}
