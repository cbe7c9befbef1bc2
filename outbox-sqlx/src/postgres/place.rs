//! Where the outbox is, and whether it was worked here before.

use outbox_core::continuity::{Adoption, Place, Register, Signature, at_work};
use outbox_core::{Names, StoreError};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use uuid::Uuid;

use super::connection::{CALL, Link, once, statement};
use super::fault::store_error;
use super::mender;
use crate::refusal::settle;

const PLACE: &str = outbox_core::sql::postgres::CONTINUITY_PLACE;
const CLUSTER: &str = outbox_core::sql::postgres::CONTINUITY_CLUSTER;
const ADDRESS: &str = outbox_core::sql::postgres::CONTINUITY_ADDRESS;
const RETIRE: &str = outbox_core::sql::postgres::CONTINUITY_RETIRE;
const SET: &str = outbox_core::sql::postgres::CONTINUITY_SET;
const NOTE: &str = outbox_core::sql::postgres::CONTINUITY_NOTE;
const LOCK: &str = outbox_core::sql::postgres::CONTINUITY_LOCK;

/// The rows of `outbox_meta` that are written here.
const SERVER: &str = "server";
const INSTANCE: &str = "instance";

/// What is recorded, and what is here.
pub(super) struct Here {
    pub(super) register: Register,
    pub(super) place: Place,
    pub(super) instance: String,
}

impl Here {
    pub(super) async fn look(link: &mut Link, names: &Names, address: &str) -> Result<Self, StoreError> {
        let row = link.one(CALL, sqlx::query(statement(names, PLACE))).await?;
        let text = |column: &str| row.try_get::<Option<String>, _>(column).map_err(store_error);
        let mut server = None;
        if row.try_get("has_cluster").map_err(store_error)? {
            let cluster = link.one(CALL, sqlx::query(CLUSTER)).await?;
            let cluster: String = cluster.try_get(0).map_err(store_error)?;
            // Which cluster it is a copy says too; when it was started it does not.
            server = Some(format!("{cluster} {}", row.try_get::<i64, _>("started").map_err(store_error)?));
        }
        Ok(Self {
            register: Register { addresses: row.try_get("addresses").map_err(store_error)?, server: text("server")? },
            place: Place { address: address.to_owned(), server },
            instance: text("instance")?.unwrap_or_default(),
        })
    }
}

/// Refuses what may be a copy, and records the place where it is none.
pub(super) async fn recognise(link: &mut Link, names: &Names, address: &str) -> Result<(), StoreError> {
    let here = Here::look(link, names, address).await?;
    let news = here.register.recognise(&here.place)?;
    if !news.any() {
        return Ok(());
    }
    if news.address {
        tracing::info!(address, "this address of the outbox is recorded");
        link.run(CALL, sqlx::query(statement(names, ADDRESS)).bind(address).bind("")).await?;
    }
    if let Some(server) = here.place.server.filter(|_| news.server) {
        link.run(CALL, sqlx::query(statement(names, SET)).bind(SERVER).bind(server)).await?;
    }
    Ok(())
}

/// Records the place whatever was recorded before.
pub(super) async fn adopt(
    link: &mut Link,
    names: &Names,
    address: &str,
    new_instance: bool,
    signature: &Signature,
) -> Result<Adoption, StoreError> {
    let here = Here::look(link, names, address).await?;
    let instance = if new_instance { Uuid::now_v7().to_string() } else { here.instance.clone() };
    let adoption = Adoption {
        before: here.register.addresses,
        address: address.to_owned(),
        instance_before: here.instance,
        instance,
    };
    let work =
        async |connection: &mut PgConnection| record(connection, names, &adoption, here.place.server, signature).await;
    link.call(CALL, work).await??;
    Ok(adoption)
}

/// Records it in one transaction.
async fn record(
    connection: &mut PgConnection,
    names: &Names,
    adoption: &Adoption,
    server: Option<String>,
    signature: &Signature,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    let outcome = write(&mut tx, names, adoption, server, signature).await?;
    settle(tx, outcome).await
}

async fn write(
    tx: &mut PgConnection,
    names: &Names,
    adoption: &Adoption,
    server: Option<String>,
    signature: &Signature,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let Adoption { address, instance_before, instance, .. } = adoption;
    let by = signature.to_string();
    if instance != instance_before {
        once(statement(names, LOCK)).execute(&mut *tx).await?;
        for row in mender::reader_rows(tx, names).await? {
            if let Some(owner) = row.try_get::<Option<String>, _>("owner")? {
                return Ok(Err(at_work(&owner, row.try_get("subscription")?)));
            }
        }
        once(statement(names, RETIRE)).bind(address).execute(&mut *tx).await?;
        once(statement(names, SET)).bind(INSTANCE).bind(instance).execute(&mut *tx).await?;
        let told = format!("{instance_before} became {instance}{by}");
        once(statement(names, NOTE)).bind("new_instance").bind(told).execute(&mut *tx).await?;
    }
    once(statement(names, ADDRESS)).bind(address).bind(&by).execute(&mut *tx).await?;
    if let Some(server) = server {
        once(statement(names, SET)).bind(SERVER).bind(server).execute(&mut *tx).await?;
    }
    Ok(Ok(()))
}
