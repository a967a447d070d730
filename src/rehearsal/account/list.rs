//! What is in the account, for people.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use serde::Serialize;

use super::super::event::{Event, EventKind};
use super::{Account, AccountError, CertificateStatus, Registered, damaged, registered};
use crate::jitp::{Prerequisite, ThingMade};

/// How many there are of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub things: u64,
    pub policies: u64,
    pub active: u64,
    pub inactive: u64,
    pub pending_activation: u64,
    pub revoked: u64,
}

/// A thing with the certificates that are attached to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedThing {
    #[serde(flatten)]
    pub thing: ThingMade,
    pub principals: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedPolicy {
    pub policy_name: String,
    pub policy_document: String,
    /// How many certificates it is attached to.
    pub targets: u64,
}

/// The newest of everything, at most so many of each.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    pub counts: Counts,
    pub certificates: Vec<Registered>,
    pub things: Vec<NamedThing>,
    pub policies: Vec<NamedPolicy>,
    /// The newest first.
    pub events: Vec<Event>,
}

/// Makes a prerequisite of a name.
type Kind = fn(String) -> Prerequisite;

impl Account {
    /// How many there are of each.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn counts(&self) -> Result<Counts, AccountError> {
        self.with(|connection| {
            let mut counts = Counts::default();
            let mut select =
                connection.prepare_cached("SELECT status, count(*) FROM certificate GROUP BY status")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let status: String = row.get(0)?;
                let place = match CertificateStatus::parse(&status) {
                    Some(CertificateStatus::Active) => &mut counts.active,
                    Some(CertificateStatus::Inactive) => &mut counts.inactive,
                    Some(CertificateStatus::PendingActivation) => &mut counts.pending_activation,
                    Some(CertificateStatus::Revoked) | None => &mut counts.revoked,
                };
                *place = row.get(1)?;
            }
            let mut select = connection
                .prepare_cached("SELECT (SELECT count(*) FROM thing), (SELECT count(*) FROM policy)")?;
            (counts.things, counts.policies) = select.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(counts)
        })
    }

    /// Things that more than one active certificate is attached to, with how many.
    pub(in crate::rehearsal) fn shared_things(&self) -> Result<HashMap<String, u64>, AccountError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT thing, count(*) FROM thing_principal JOIN certificate ON certificate = id
                 WHERE status = 'ACTIVE' GROUP BY thing HAVING count(*) > 1",
            )?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    /// The distinct thing types, thing groups and billing groups that things name.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn prerequisites(&self) -> Result<Vec<Prerequisite>, AccountError> {
        self.with(|connection| {
            let mut found = Vec::new();
            let kinds: [(&str, Kind); 3] = [
                (
                    "SELECT DISTINCT document ->> 'thingTypeName' AS name FROM thing WHERE name IS NOT NULL",
                    Prerequisite::ThingType,
                ),
                (
                    "SELECT DISTINCT value FROM thing, json_each(document, '$.thingGroups')",
                    Prerequisite::ThingGroup,
                ),
                (
                    "SELECT DISTINCT document ->> 'billingGroup' AS name FROM thing WHERE name IS NOT NULL",
                    Prerequisite::BillingGroup,
                ),
            ];
            for (statement, kind) in kinds {
                let mut select = connection.prepare(statement)?;
                let names = select.query_map([], |row| row.get::<_, Option<String>>(0))?;
                for name in names {
                    found.extend(name?.map(kind));
                }
            }
            Ok(found)
        })
    }

    /// The newest of everything, at most `limit` of each.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn list(&self, limit: u32) -> Result<Listing, AccountError> {
        Ok(Listing {
            counts: self.counts()?,
            certificates: self.certificates(None, limit)?,
            things: self.things(limit)?,
            policies: self.policies(limit)?,
            events: self.events(limit)?,
        })
    }

    /// The newest certificates, of one status or of all.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn certificates(
        &self,
        status: Option<CertificateStatus>,
        limit: u32,
    ) -> Result<Vec<Registered>, AccountError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, authority, name, status, reason, registered_at FROM certificate
                 WHERE ?1 IS NULL OR status = ?1 ORDER BY rowid DESC LIMIT ?2",
            )?;
            let rows = select.query_map(params![status.map(CertificateStatus::as_str), limit], registered)?;
            rows.collect()
        })
    }

    /// The certificates that a text may mean: their name, or the beginning of their id.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn matching(&self, text: &str) -> Result<Vec<Registered>, AccountError> {
        let mut all = self.certificates(None, u32::MAX)?;
        all.retain(|certificate| {
            certificate.name == text || (text.len() >= 4 && certificate.certificate_id.starts_with(text))
        });
        Ok(all)
    }

    fn things(&self, limit: u32) -> Result<Vec<NamedThing>, AccountError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT document, (SELECT group_concat(certificate) FROM thing_principal WHERE thing = name)
                 FROM thing ORDER BY rowid DESC LIMIT ?1",
            )?;
            let rows = select.query_map([limit], |row| {
                let document: String = row.get(0)?;
                let principals: Option<String> = row.get(1)?;
                Ok(NamedThing {
                    thing: serde_json::from_str(&document).map_err(|error| damaged(error.into()))?,
                    principals: principals
                        .iter()
                        .flat_map(|ids| ids.split(',').map(str::to_owned))
                        .collect(),
                })
            })?;
            rows.collect()
        })
    }

    fn policies(&self, limit: u32) -> Result<Vec<NamedPolicy>, AccountError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT name, document, (SELECT count(*) FROM principal_policy WHERE policy = name)
                 FROM policy ORDER BY rowid DESC LIMIT ?1",
            )?;
            let rows = select.query_map([limit], |row| {
                Ok(NamedPolicy {
                    policy_name: row.get(0)?,
                    policy_document: row.get(1)?,
                    targets: row.get(2)?,
                })
            })?;
            rows.collect()
        })
    }

    /// The newest events, the newest first.
    fn events(&self, limit: u32) -> Result<Vec<Event>, AccountError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT at, kind, peer, client_id, certificate, name, text FROM event ORDER BY id DESC LIMIT ?1",
            )?;
            select.query_map([limit], event)?.collect()
        })
    }

    /// The newest refusals, the newest first, and how many events and how many refusals are kept.
    pub(in crate::rehearsal) fn refusals(&self, limit: u32) -> Result<Refusals, AccountError> {
        self.with(|connection| {
            let count = |connection: &Connection, condition: &str| {
                let statement = format!("SELECT count(*) FROM event {condition}");
                connection
                    .prepare_cached(&statement)?
                    .query_row([], |row| row.get(0))
            };
            let mut select = connection.prepare_cached(
                "SELECT at, kind, peer, client_id, certificate, name, text FROM event WHERE kind = 'refused'
                 ORDER BY id DESC LIMIT ?1",
            )?;
            Ok(Refusals {
                newest: select
                    .query_map([limit], event)?
                    .collect::<rusqlite::Result<_>>()?,
                count: count(connection, "WHERE kind = 'refused'")?,
                events: count(connection, "")?,
            })
        })
    }
}

/// What was refused of late.
#[derive(Debug, Clone, Serialize)]
pub struct Refusals {
    /// How many are kept.
    pub count: u64,
    /// How many events of all kinds are kept.
    #[serde(skip)]
    pub events: u64,
    pub newest: Vec<Event>,
}

fn event(row: &rusqlite::Row<'_>) -> rusqlite::Result<Event> {
    let kind: String = row.get(1)?;
    Ok(Event {
        at: row.get(0)?,
        kind: EventKind::parse(&kind).ok_or_else(|| damaged(format!("no event is {kind:?}").into()))?,
        peer: row.get(2)?,
        client_id: row.get(3)?,
        certificate_id: row.get(4)?,
        name: row.get(5)?,
        text: row.get(6)?,
    })
}
