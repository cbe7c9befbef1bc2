//! The place of an outbox: its address, and the server that runs there.
//!
//! ```text
//!  nothing recorded ──────────────────────────► accepted, recorded
//!  this address recorded ─────────────────────► accepted
//!  the server that was met last, running on ──► accepted, this address recorded: a proxy or another name of it
//!  anything else ─────────────────────────────► refused until `outbox-relay adopt`
//! ```

use crate::error::{StoreError, StoreErrorKind};

/// Where an outbox is, as one relay reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address, without user and password; every name of the own machine is `localhost`.
    pub address: String,
    /// What the server says of itself that no copy says as well: which cluster it is and when it was started, or which file.
    pub server: Option<String>,
}

/// What `outbox_meta` records of the places where an outbox was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Register {
    /// The rows `address:…`.
    pub addresses: Vec<String>,
    /// The row `server`: what the server said of itself that a relay met last.
    pub server: Option<String>,
}

/// What is to be recorded of a place that is accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// The address is a new one.
    pub address: bool,
    /// The server is another one than was met last.
    pub server: bool,
}

impl News {
    /// Whether there is anything to record.
    pub fn any(self) -> bool {
        self.address || self.server
    }
}

impl Register {
    /// Whether a relay may work here, and what is to be recorded then.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Continuity`] for what may be a copy.
    pub fn recognise(&self, place: &Place) -> Result<News, StoreError> {
        let known = self.addresses.contains(&place.address);
        let same_server = place.server.is_some() && place.server == self.server;
        if known || same_server || self.addresses.is_empty() {
            return Ok(News { address: !known, server: place.server.is_some() && !same_server });
        }
        let message = format!(
            "this outbox was worked at {} so far, and this is {}: it looks like a copy; if it is meant to publish, run \
             `outbox-relay adopt`, or `outbox-relay adopt --new-instance` if the original goes on as well",
            self.addresses.join(" and at "),
            place.address
        );
        Err(StoreError::new(StoreErrorKind::Continuity, message))
    }
}

/// The address of a database on a server, the same whichever name of the own machine leads there.
pub fn address(scheme: &str, host: &str, port: u16, database: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let here = host.is_empty() || host.starts_with('/') || host.starts_with("127.");
    let host = if here || host == "::1" || host == "0:0:0:0:0:0:0:1" { "localhost" } else { &host };
    format!("{scheme}://{host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: &str, server: &str) -> Place {
        Place { address: address.into(), server: Some(server.into()) }
    }

    fn register(addresses: &[&str], server: &str) -> Register {
        Register { addresses: addresses.iter().map(|&address| address.into()).collect(), server: Some(server.into()) }
    }

    #[test]
    fn names_of_the_own_machine_are_one() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "/var/run/postgresql", ""] {
            assert_eq!(address("postgres", host, 5432, "shop"), "postgres://localhost:5432/shop", "{host}");
        }
        assert_eq!(address("postgres", "DB.example.", 5433, "shop"), "postgres://db.example:5433/shop");
    }

    #[test]
    fn the_first_place_is_recorded() {
        let news = Register::default().recognise(&place("a", "1")).unwrap();
        assert_eq!(news, News { address: true, server: true });
        let unknown = Place { address: "a".into(), server: None };
        assert_eq!(Register::default().recognise(&unknown).unwrap(), News { address: true, server: false });
    }

    #[test]
    fn a_known_address_is_accepted_whatever_runs_there() {
        assert!(!register(&["a", "b"], "1").recognise(&place("b", "1")).unwrap().any());
        assert_eq!(register(&["a"], "1").recognise(&place("a", "2")).unwrap(), News { address: false, server: true });
    }

    #[test]
    fn another_way_to_the_same_server_is_accepted_and_recorded() {
        let news = register(&["a"], "1").recognise(&place("proxy", "1")).unwrap();
        assert_eq!(news, News { address: true, server: false });
    }

    #[test]
    fn what_may_be_a_copy_is_refused_with_the_command_that_accepts_it() {
        let unknown = Place { address: "clone".into(), server: None };
        let nobody = Register { addresses: vec!["a".into()], server: None };
        for (register, place) in
            [(register(&["a"], "1"), place("clone", "2")), (register(&["a"], "1"), unknown.clone()), (nobody, unknown)]
        {
            let refused = register.recognise(&place).unwrap_err();
            assert_eq!(refused.kind(), StoreErrorKind::Continuity);
            let text = refused.to_string();
            assert!(text.contains("at a so far") && text.contains("this is clone"), "{text}");
            assert!(text.contains("looks like a copy; if it is meant to publish, run `outbox-relay adopt`"), "{text}");
        }
    }
}
