//! Where the outbox is, and whether it was worked here before.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use outbox_core::continuity::{Adoption, Place, Register, Signature, at_work};
use outbox_core::{Names, StoreError, StoreErrorKind};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};
use uuid::Uuid;

use super::connection::{BEGIN_WRITE, CALL, bounded, statement, store_error};
use super::mender;
use crate::refusal::settle;

const PLACE: &str = outbox_core::sql::sqlite::CONTINUITY_PLACE;
const ADDRESS: &str = outbox_core::sql::sqlite::CONTINUITY_ADDRESS;
const RETIRE: &str = outbox_core::sql::sqlite::CONTINUITY_RETIRE;
const SET: &str = outbox_core::sql::sqlite::CONTINUITY_SET;
const NOTE: &str = outbox_core::sql::sqlite::CONTINUITY_NOTE;

/// The rows of `outbox_meta` that are written here.
const SERVER: &str = "server";
const INSTANCE: &str = "instance";

/// What is recorded, and what is here.
pub(super) struct Here {
    pub(super) register: Register,
    pub(super) place: Place,
    pub(super) instance: String,
}

/// Which file this is, whatever it is called: its device and its number there. A copy has another one.
pub(super) fn identity(file: &Path) -> Option<String> {
    let metadata = std::fs::metadata(file).ok()?;
    Some(format!("{}:{}", metadata.dev(), metadata.ino()))
}

impl Here {
    pub(super) async fn look(
        connection: &mut SqliteConnection,
        names: &Names,
        file: &Path,
    ) -> Result<Self, StoreError> {
        let row = bounded(CALL, sqlx::query(statement(names, PLACE)).fetch_one(connection)).await?;
        let addresses: String = row.try_get("addresses").map_err(store_error)?;
        let addresses = serde_json::from_str(&addresses).map_err(|error| {
            StoreError::new(StoreErrorKind::Precondition, "the addresses in the table `meta` are damaged; delete them")
                .caused_by(error)
        })?;
        let path = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        Ok(Self {
            register: Register { addresses, server: row.try_get("server").map_err(store_error)? },
            place: Place { address: format!("sqlite:{}", path.display()), server: identity(file) },
            instance: row.try_get::<Option<_>, _>("instance").map_err(store_error)?.unwrap_or_default(),
        })
    }
}

/// Refuses what may be a copy, and records the place where it is none.
pub(super) async fn recognise(connection: &mut SqliteConnection, names: &Names, file: &Path) -> Result<(), StoreError> {
    let here = Here::look(connection, names, file).await?;
    let news = here.register.recognise(&here.place)?;
    if news.address {
        let address = &here.place.address;
        tracing::info!(address, "this address of the outbox is recorded");
        let record = sqlx::query(statement(names, ADDRESS)).bind(address).bind("");
        bounded(CALL, record.execute(&mut *connection)).await?;
    }
    if let Some(server) = here.place.server.filter(|_| news.server) {
        let record = sqlx::query(statement(names, SET)).bind(SERVER).bind(server);
        bounded(CALL, record.execute(connection)).await?;
    }
    Ok(())
}

/// Records the place whatever was recorded before.
pub(super) async fn adopt(
    connection: &mut SqliteConnection,
    names: &Names,
    file: &Path,
    new_instance: bool,
    signature: &Signature,
) -> Result<Adoption, StoreError> {
    let here = Here::look(connection, names, file).await?;
    let instance = if new_instance { Uuid::now_v7().to_string() } else { here.instance.clone() };
    let adoption = Adoption {
        before: here.register.addresses,
        address: here.place.address,
        instance_before: here.instance,
        instance,
    };
    bounded(CALL, record(connection, names, &adoption, here.place.server, signature)).await??;
    Ok(adoption)
}

/// Records it in one transaction.
async fn record(
    connection: &mut SqliteConnection,
    names: &Names,
    adoption: &Adoption,
    server: Option<String>,
    signature: &Signature,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let mut tx = connection.begin_with(BEGIN_WRITE).await?;
    let outcome = write(&mut tx, names, adoption, server, signature).await?;
    settle(tx, outcome).await
}

async fn write(
    tx: &mut SqliteConnection,
    names: &Names,
    adoption: &Adoption,
    server: Option<String>,
    signature: &Signature,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let Adoption { address, instance_before, instance, .. } = adoption;
    let by = signature.to_string();
    if instance != instance_before {
        for row in mender::reader_rows(tx, names).await? {
            if let Some(owner) = row.try_get::<Option<String>, _>("owner")? {
                return Ok(Err(at_work(&owner, row.try_get("subscription")?)));
            }
        }
        sqlx::query(statement(names, RETIRE)).bind(address).execute(&mut *tx).await?;
        sqlx::query(statement(names, SET)).bind(INSTANCE).bind(instance).execute(&mut *tx).await?;
        let told = format!("{instance_before} became {instance}{by}");
        sqlx::query(statement(names, NOTE)).bind("new_instance").bind(told).execute(&mut *tx).await?;
    }
    sqlx::query(statement(names, ADDRESS)).bind(address).bind(&by).execute(&mut *tx).await?;
    if let Some(server) = server {
        sqlx::query(statement(names, SET)).bind(SERVER).bind(server).execute(&mut *tx).await?;
    }
    Ok(Ok(()))
}
