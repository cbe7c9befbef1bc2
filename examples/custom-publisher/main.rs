//! A publisher of one's own: its three answers, and what the relay makes of each.
//!
//! ```text
//! cargo run --example custom-publisher
//! ```

use std::error::Error;

use outbox_core::publisher::{Answer, Delivery, PublishError, Publisher};
use outbox_core::{NewEvent, Store, async_trait};
use outbox_examples::Terminal;
use outbox_relay::{Relay, Subscription};
use outbox_sqlx::{Names, SqliteOutbox, SqliteStore};

/// Takes parcels; the key of an event is the parcel's number.
struct Carrier(Terminal);

#[async_trait]
impl Publisher for Carrier {
    fn describe(&self) -> String {
        "carrier".into()
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        Ok(batch.iter().map(|delivery| self.take(delivery)).collect())
    }
}

impl Carrier {
    fn take(&self, Delivery { event, attempt, .. }: &Delivery) -> Answer {
        let step = event.event_type.as_deref().unwrap_or_default();
        let (word, answer) = match (event.key.as_str(), step, attempt) {
            ("2", "packed", 1) => ("retry", Answer::Retry { after: None, reason: "the van is full".into() }),
            ("3", ..) => ("reject", Answer::Reject { reason: "no address".into() }),
            _ => ("published", Answer::Published),
        };
        self.0.answered(word, &format!("parcel {} {step:<6}  attempt {attempt}", event.key));
        answer
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("shop.db").display());
    let store = SqliteStore::new(&url, Names::default())?;
    store.migrate().await?;

    let mut tx = sqlx::SqlitePool::connect(&url).await?.begin_with("BEGIN IMMEDIATE").await?;
    for step in ["packed", "sent"] {
        for parcel in ["1", "2", "3"] {
            let event = NewEvent { event_type: Some(step.into()), ..NewEvent::new("shop.parcels", parcel).json("{}") };
            SqliteOutbox::new().append(&mut tx, &event).await?;
        }
    }
    tx.commit().await?;

    let terminal = Terminal::new();
    terminal.title("The carrier answers");
    let carrier = Subscription::new("carrier", Carrier(Terminal::new()));
    let relay = Relay::builder(store.clone()).subscription(carrier).start().await?;
    let outcome = relay.drain().await?;
    relay.stop().await?;

    let letters = store.desk().await?.letters("carrier", None).await?;
    terminal.title("What the relay makes of them");
    terminal.answered("published", "it is done, and the checkpoint moves past it");
    terminal.answered("retry", "it comes again after a pause; its parcel waits, the others do not");
    terminal.answered("reject", "it is kept with its reason, and what comes after it for its parcel waits:");
    let told = letters.first().map(|letter| format!("position {} does not pass: {}", letter.position, letter.reason));
    terminal.answered("", told.as_deref().unwrap_or_default());
    let waiting = outcome.blocked - 1;
    terminal.summary(&format!("6 events: 1 does not pass, {waiting} waits behind it, 4 are published."));
    Ok(())
}
