//! What a template makes, put into the account: all of it or nothing.

use std::fmt::Write as _;

use rusqlite::{OptionalExtension, TransactionBehavior, params};

use super::{Account, AccountError, CertificateStatus, status_of};
use crate::digest::sha256;
use crate::jitp::{PolicyMade, Provisioned};

/// What was made for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub thing: Option<String>,
    pub policies: usize,
    pub status: CertificateStatus,
    /// Other certificates that are attached to the same thing.
    pub also_attached: Vec<String>,
}

/// Why AWS IoT would not have made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    #[error("policy {name}, which the template attaches, does not exist")]
    NoPolicy { name: String },
    #[error("the template names certificate {named}, and this is {own}")]
    OtherCertificate { named: String, own: String },
}

impl Account {
    /// Makes what a template gives for a certificate that is registered.
    pub(in crate::rehearsal) fn provision(
        &self,
        id: &str,
        made: &Provisioned,
    ) -> Result<Result<Made, NotMade>, AccountError> {
        if made.certificate.certificate_id != id {
            return Ok(Err(NotMade::OtherCertificate {
                named: made.certificate.certificate_id.clone(),
                own: id.to_owned(),
            }));
        }
        // ACTIVE and INACTIVE are all that a template may say.
        let status =
            CertificateStatus::parse(&made.certificate.status).unwrap_or(CertificateStatus::Inactive);
        self.with(|connection| {
            // What it reads, nobody changes before it writes.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for policy in &made.policies {
                let name = match policy {
                    PolicyMade::PolicyName(name) => {
                        let mut select =
                            transaction.prepare_cached("SELECT name FROM policy WHERE name = ?1")?;
                        let found: Option<String> = select.query_row([name], |row| row.get(0)).optional()?;
                        if found.is_none() {
                            return Ok(Err(NotMade::NoPolicy { name: name.clone() }));
                        }
                        name.clone()
                    }
                    PolicyMade::PolicyDocument(document) => {
                        let name = name_of(document);
                        transaction
                            .prepare_cached("INSERT INTO policy VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                            .execute([&name, document])?;
                        name
                    }
                };
                transaction
                    .prepare_cached("INSERT INTO principal_policy VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                    .execute([id, &name])?;
            }
            let mut also_attached = Vec::new();
            if let Some(thing) = &made.thing {
                let document = serde_json::to_string(thing).expect("it has only text keys");
                let name = &thing.thing_name;
                transaction
                    .prepare_cached("INSERT INTO thing VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                    .execute([name, &document])?;
                let mut others = transaction.prepare_cached(
                    "SELECT certificate FROM thing_principal WHERE thing = ?1 AND certificate <> ?2",
                )?;
                also_attached = others
                    .query_map([name.as_str(), id], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                transaction
                    .prepare_cached("INSERT INTO thing_principal VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                    .execute([id, name])?;
            }
            transaction
                .prepare_cached("UPDATE certificate SET status = ?2, reason = NULL WHERE id = ?1 AND status = 'PENDING_ACTIVATION'")?
                .execute(params![id, status.as_str()])?;
            // Somebody may have revoked it meanwhile.
            let status: String = transaction
                .prepare_cached("SELECT status FROM certificate WHERE id = ?1")?
                .query_row([id], |row| row.get(0))?;
            transaction.commit()?;
            Ok(Ok(Made {
                thing: made.thing.as_ref().map(|thing| thing.thing_name.clone()),
                policies: made.policies.len(),
                status: status_of(&status)?,
                also_attached,
            }))
        })
    }
}

/// AWS IoT names a policy that a template has in itself after its document.
fn name_of(document: &str) -> String {
    sha256(document.as_bytes())
        .iter()
        .fold(String::new(), |mut name, octet| {
            write!(name, "{octet:02x}").expect("text grows");
            name
        })
}
