//! Where those who wait for a drain and the worker of one subscription meet.

use tokio::sync::watch;

use crate::error::RelayError;

/// The drains asked for so far, and how far they are answered.
#[derive(Debug)]
pub(crate) struct Drains {
    asked: watch::Sender<u64>,
    answered: watch::Sender<Answered>,
}

/// The answer to every drain up to a number.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answered {
    pub(crate) number: u64,
    /// Events that will not pass.
    pub(crate) blocked: u64,
    /// Whether the window is full of them and of what waits behind, so that nothing more is read.
    pub(crate) full: bool,
}

impl Drains {
    pub(crate) fn new() -> Self {
        Self { asked: watch::Sender::new(0), answered: watch::Sender::new(Answered::default()) }
    }

    /// Asks for a drain and returns its number.
    pub(crate) fn ask(&self) -> u64 {
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        number
    }

    /// The number of the last drain asked for, as it grows.
    pub(crate) fn requests(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    pub(crate) fn answer(&self, answered: Answered) {
        self.answered.send_replace(answered);
    }

    /// Waits for the answer and returns how many events will not pass.
    ///
    /// # Errors
    ///
    /// [`RelayError::WindowFull`].
    pub(crate) async fn answered(&self, number: u64, subscription: &str) -> Result<u64, RelayError> {
        let mut answers = self.answered.subscribe();
        let answered = answers.wait_for(|answered| answered.number >= number).await.map(|answered| *answered);
        match answered {
            Ok(Answered { full: true, .. }) => Err(RelayError::WindowFull { subscription: subscription.to_owned() }),
            Ok(Answered { blocked, .. }) => Ok(blocked),
            Err(_) => Err(RelayError::Ended),
        }
    }
}
