//! The crates that are compiled: the same structs with more and more derives.

use std::fmt::Write;
use std::path::Path;

/// What the structs of a crate derive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Derives {
    Nothing,
    Serde,
    SerdeAndOutbox,
}

impl Derives {
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Serde, Self::SerdeAndOutbox];

    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Nothing => "structs",
            Self::Serde => "structs-with-serde",
            Self::SerdeAndOutbox => "structs-with-outbox",
        }
    }

    pub(super) fn variant(self) -> &'static str {
        match self {
            Self::Nothing => "structs alone",
            Self::Serde => "with Serialize and Deserialize",
            Self::SerdeAndOutbox => "with Outbox as well",
        }
    }

    /// The text, where the structs derive Outbox.
    fn outbox(self, text: &'static str) -> &'static str {
        if self == Self::SerdeAndOutbox { text } else { "" }
    }
}

pub(super) fn manifest(derives: Derives, workspace: &Path) -> String {
    let package = derives.package();
    let core = workspace.join("outbox-core").display().to_string();
    format!(
        "[package]\nname = {package:?}\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nserde = {{ version = \"1\", features = [\"derive\"] }}\noutbox-core = {{ path = {core:?} }}\n"
    )
}

/// Entities as applications have them: a key, a tenant, a protected field, and some of each usual type.
pub(super) fn library(derives: Derives, structs: usize) -> String {
    let serde = if derives == Derives::Nothing { "" } else { "serde::Serialize, serde::Deserialize, " };
    let derive = format!("#[derive({serde}{})]", derives.outbox("outbox_core::Outbox"));
    let mut source = format!(
        "#![allow(dead_code)]\n\
         #[derive({serde})]\npub enum Status {{ Open, Paid }}\n\
         #[derive({serde})]\npub struct Line {{ item: String, amount: u32 }}\n"
    );
    let [key, tenant, redact] =
        ["#[outbox(key)] ", "#[outbox(tenant)] ", "#[outbox(redact)] "].map(|attribute| derives.outbox(attribute));
    for number in 0..structs {
        let outbox = derives.outbox("topic = \"shop.orders\", version = 1)]\n");
        let table = if outbox.is_empty() { String::new() } else { format!("#[outbox(table = \"orders_{number}\", ") };
        write!(
            source,
            "{derive}\n{table}{outbox}pub struct Order{number} {{\n    \
             {key}id: u64,\n    {tenant}tenant_id: String,\n    {redact}card_number: String,\n    status: Status,\n    \
             total_cents: i64,\n    note: Option<String>,\n    lines: Vec<Line>,\n    paid_at: Option<i64>,\n}}\n"
        )
        .expect("writing to a `String` works");
    }
    source
}
