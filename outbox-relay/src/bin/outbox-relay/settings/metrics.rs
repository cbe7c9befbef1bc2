//! Where metrics and health are served, and to whom.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::environment::Environment;
use super::secret::SecretFrom;
use super::section::Section;
use crate::problem::{Placed, Problems};

/// Where they are served unless something else is said.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8269);

/// A shorter token could be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What one source says of metrics.
#[derive(Default)]
pub(crate) struct MetricsLayer {
    listen: Option<Placed<Listen>>,
    token: Option<SecretFrom>,
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listen {
    Off,
    At(SocketAddr),
}

/// How metrics are served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metrics {
    /// Where.
    pub(crate) address: SocketAddr,
    /// Whether somebody asked for this address, so that nothing else will do.
    pub(crate) asked_for: bool,
    /// What a client has to show.
    pub(crate) token: Option<Token>,
}

/// What a client has to show.
#[derive(PartialEq, Eq)]
pub(crate) struct Token(String);

/// Shows nothing of it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Token {
    /// Its bytes, a secret.
    #[cfg_attr(not(feature = "serve"), expect(dead_code, reason = "nobody asks for it"))]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl MetricsLayer {
    /// Takes one source's words.
    pub(crate) fn read(section: &mut dyn Section, problems: &mut Problems) -> Self {
        let listen = section.text("listen", problems).and_then(|listen| listen.parse(problems, listen_of));
        let (token, file) = (section.text("token", problems), section.text("token_file", problems));
        if let (Some(token), Some(file)) = (&token, &file) {
            problems.at(&token.place, format!("two tokens, the other at {}; leave one out", file.place));
        }
        Self { listen, token: SecretFrom::either(token, file) }
    }
}

impl Metrics {
    /// Takes each setting from the first layer that has it; `None` where nothing is served. A run that is to end serves only
    /// what was asked for.
    pub(crate) fn resolve(
        layers: [MetricsLayer; 3],
        ends: bool,
        environment: &Environment,
        problems: &mut Problems,
    ) -> Option<Self> {
        let (mut listen, mut token) = (None, None);
        for layer in layers {
            listen = listen.or(layer.listen);
            token = token.or(layer.token);
        }
        let served = match listen {
            Some(Placed { value: Listen::Off, .. }) => return None,
            Some(Placed { value: Listen::At(address), place }) => Some((address, Some(place))),
            None => (!ends).then_some((DEFAULT, None)),
        };
        // Read also where nothing is served this time, so that a wrong one shows at once.
        let token = token.and_then(|token| Some(token.read(environment, problems)?.parse(problems, token_of)?.value));
        let (address, place) = served?;
        if let (Some(place), None, false) = (&place, &token, address.ip().to_canonical().is_loopback()) {
            let message = format!(
                "{address} can be reached from elsewhere; write metrics.token_file = \"/run/secrets/metrics\" or set \
                 OUTBOX_METRICS_TOKEN_FILE, or listen on {DEFAULT}"
            );
            problems.at(place, message);
        }
        Some(Self { address, asked_for: place.is_some(), token })
    }
}

fn listen_of(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen::Off);
    }
    let local = text.strip_prefix("localhost:").map(|port| format!("{}:{port}", Ipv4Addr::LOCALHOST));
    let address = local.as_deref().unwrap_or(text).parse().map(Listen::At);
    address.map_err(|_| format!("`{text}` is not an address to listen on; write {DEFAULT}, [::1]:8269 or off"))
}

/// Says nothing of what was written.
fn token_of(text: &str) -> Result<Token, String> {
    if text.len() < SHORTEST_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "the token is shorter than {SHORTEST_TOKEN} characters, or holds one that no header can carry; write a long \
             random word, such as `openssl rand -hex 32` makes"
        ));
    }
    Ok(Token(text.to_owned()))
}
