//! Ways of writing events, measured in turns so short that a machine grown slower hits all.

use std::process;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::processor;
use crate::report::Table;
use crate::server::Server;

/// How many turns each variant has in a round.
const TURNS: u32 = 32;

/// Transactions of a turn, which the clients share.
const TRANSACTIONS: u32 = 640;

/// What is compared: clients commit transactions, each of which captures one event.
pub(crate) trait Variant: Copy + Send + 'static {
    /// What the table calls it.
    fn name(self) -> &'static str;

    /// Commits so many transactions.
    fn commit(self, connection: &mut PgConnection, transactions: u32) -> impl Future<Output = Result<()>> + Send;
}

/// What the turns of one variant took in all.
#[derive(Default)]
struct Tally {
    walls: Vec<Duration>,
    server: Duration,
    client: Duration,
}

/// Clients of one database.
pub(crate) struct Clients<'a> {
    server: &'a Server,
    connections: Vec<PgConnection>,
}

impl<'a> Clients<'a> {
    /// Connects them. Their commits wait for no disk, whose moods would hide what capture costs.
    pub(crate) async fn connect(server: &'a Server, url: &str, clients: u32) -> Result<Self> {
        let mut clients = Self::durable(server, url, clients).await?;
        for connection in &mut clients.connections {
            sqlx::query("SET synchronous_commit = off").execute(connection).await?;
        }
        Ok(clients)
    }

    /// Connects them, with commits that wait for the disk as an application's do.
    pub(crate) async fn durable(server: &'a Server, url: &str, clients: u32) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..clients {
            connections.push(PgConnection::connect(url).await?);
        }
        Ok(Self { server, connections })
    }

    /// One round of the variants; every one of them in another place of the order from turn to turn.
    pub(crate) async fn round<V: Variant, const N: usize>(
        &mut self,
        table: &mut Table,
        variants: [V; N],
    ) -> Result<()> {
        let mut tallies = [(); N].map(|()| Tally::default());
        for turn in 0..TURNS as usize {
            for index in (0..N).map(|place| (turn + place) % N) {
                self.turn(variants[index], &mut tallies[index]).await?;
            }
        }
        for (variant, mut tally) in variants.into_iter().zip(tallies) {
            let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(TURNS * TRANSACTIONS);
            // Of a turn in which the machine did something else nothing is to be learnt.
            tally.walls.sort_unstable();
            let usual = tally.walls[tally.walls.len() / 2].as_secs_f64();
            table.record(variant.name(), "transactions/s", f64::from(TRANSACTIONS) / usual);
            table.record(variant.name(), "server µs each", each(tally.server));
            table.record(variant.name(), "client µs each", each(tally.client));
            table.record(variant.name(), "processor µs each", each(tally.server + tally.client));
        }
        Ok(())
    }

    async fn turn<V: Variant>(&mut self, variant: V, tally: &mut Tally) -> Result<()> {
        let (postmaster, client) = (self.server.postmaster(), process::id());
        let before = (processor::of_server(postmaster)?, processor::of_process(client)?, Instant::now());
        let share = TRANSACTIONS / u32::try_from(self.connections.len())?;
        let clients = self.connections.drain(..).map(|mut connection| {
            tokio::spawn(async move { variant.commit(&mut connection, share).await.map(|()| connection) })
        });
        for connection in try_join_all(clients).await? {
            self.connections.push(connection?);
        }
        tally.walls.push(before.2.elapsed());
        tally.server += processor::of_server(postmaster)?.saturating_sub(before.0);
        tally.client += processor::of_process(client)?.saturating_sub(before.1);
        Ok(())
    }

    /// Fails if not every transaction of the two variants that capture left an event.
    pub(crate) async fn check(&mut self, rounds: u32) -> Result<()> {
        let wanted = i64::from(2 * TURNS * TRANSACTIONS * rounds);
        let count = sqlx::query_scalar("SELECT count(*) FROM outbox_event");
        let events: i64 = count.fetch_one(&mut self.connections[0]).await?;
        ensure!(events == wanted, "{events} events were written instead of {wanted}");
        Ok(())
    }
}
