//! The provisioner: what AWS IoT Core does with a certificate that TLS has let in.
//!
//! One that is not known is registered as PENDING_ACTIVATION. With JITP its template is run at once, with JITR it waits
//! until somebody activates it. Either way this connection ends, and the device has to come again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use data_encoding::HEXLOWER;

use super::account::{Account, AccountError, CertificateStatus, Made, Registered};
use super::leaf::Leaf;
use crate::digest::sha256;
use crate::jitp::{Assumptions, CertificateMade, Facts, PolicyMade, Provisioned, Template, ThingMade};

/// How a certificate that is new comes to be ACTIVE.
pub enum Provisioning {
    /// AWS IoT runs a template (JITP).
    Jitp(Box<Template>),
    /// A rule calls a function (JITR); here that is `rehearse activate`, or an allow list.
    Jitr {
        activation: Activation,
        /// The certificates that the function activates, by id; it makes all others INACTIVE. `None`: there is no
        /// function, and they stay pending.
        allow_list: Option<HashSet<[u8; 32]>>,
    },
}

/// What the function of JITR makes besides activating.
#[derive(Debug, Clone)]
pub enum Activation {
    /// All that a template says.
    Template(Box<Template>),
    /// A thing named after the certificate's subject, and these policies, by name.
    Policies(Vec<String>),
}

/// Names of settings: what [`Activation`] is kept as.
const TEMPLATE_SETTING: &str = "template";
const ASSUMPTIONS_SETTING: &str = "assumptions";
const POLICIES_SETTING: &str = "policies";

impl Activation {
    /// A template, or else policies, by name.
    #[must_use]
    pub fn new(template: Option<Template>, policies: Vec<String>) -> Self {
        match template {
            Some(template) => Self::Template(Box::new(template)),
            None => Self::Policies(policies),
        }
    }

    /// Keeps it in the account, for whoever activates certificates later.
    ///
    /// # Errors
    ///
    /// When the state cannot be written.
    pub fn keep(&self, account: &Account) -> Result<(), AccountError> {
        let (template, policies) = match self {
            Self::Template(template) => (Some(template.text()), None),
            Self::Policies(names) => (None, Some(names.join("\n"))),
        };
        account.keep_setting(TEMPLATE_SETTING, template)?;
        let assumptions = match self {
            Self::Template(template) => serde_json::to_string(template.assumptions()).ok(),
            Self::Policies(_) => None,
        };
        account.keep_setting(ASSUMPTIONS_SETTING, assumptions.as_deref())?;
        account.keep_setting(POLICIES_SETTING, policies.as_deref())
    }

    /// What an endpoint has kept in the account.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    pub fn kept(account: &Account) -> Result<Self, AccountError> {
        let template = account.setting(TEMPLATE_SETTING)?;
        let assumptions = account.setting(ASSUMPTIONS_SETTING)?;
        let assumptions: Assumptions = assumptions
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let template = template.map(|text| {
            let read = Template::read(&text).template;
            read.expect("the endpoint has read it").assuming(assumptions)
        });
        let names = account.setting(POLICIES_SETTING)?.unwrap_or_default();
        Ok(Self::new(template, names.lines().map(str::to_owned).collect()))
    }
}

/// What a certificate may do that TLS has let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Connect, as far as its policies let it.
    Active,
    /// Nothing yet. `new`: it was not known before.
    Dropped { new: bool, outcome: Settled },
    /// Nothing.
    Refused(String),
}

/// What became of a certificate at its first connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    Made(Made),
    /// It waits to be activated.
    Waits,
    /// The function of JITR does not know it.
    NotAllowed,
    /// The template failed.
    Pending(String),
}

pub struct Provisioner {
    account: Arc<Account>,
    mode: Provisioning,
}

impl Provisioner {
    #[must_use]
    pub fn new(account: Arc<Account>, mode: Provisioning) -> Self {
        Self { account, mode }
    }

    /// Decides on a certificate, and registers and provisions it if it is new. `now`: seconds since 1970.
    ///
    /// # Errors
    ///
    /// When the state cannot be read or written.
    pub fn admit(&self, leaf: &Leaf, now: i64) -> Result<Standing, AccountError> {
        let new = match self.account.certificate(&leaf.id)?.map(|found| found.status) {
            Some(CertificateStatus::Active) => return Ok(Standing::Active),
            Some(status @ (CertificateStatus::Inactive | CertificateStatus::Revoked)) => {
                return Ok(Standing::Refused(format!(
                    "the certificate is {}",
                    status.as_str()
                )));
            }
            Some(CertificateStatus::PendingActivation) => false,
            None => self
                .account
                .register(&leaf.id, &leaf.authority, &leaf.der, &leaf.name, now)?,
        };
        let outcome = match &self.mode {
            Provisioning::Jitp(template) => settle(&self.account, &leaf.id, evaluate(template, &leaf.der))?,
            Provisioning::Jitr { allow_list: None, .. } => Settled::Waits,
            Provisioning::Jitr {
                activation,
                allow_list: Some(allowed),
            } => {
                if allowed.contains(&sha256(&leaf.der)) {
                    activate(&self.account, &leaf.id, &leaf.der, &leaf.name, activation)?
                } else {
                    self.account.set_status(&leaf.id, CertificateStatus::Inactive)?;
                    Settled::NotAllowed
                }
            }
        };
        Ok(Standing::Dropped { new, outcome })
    }
}

/// Does with a certificate what the function of JITR does, or an account's owner with one that is no more pending. Returns
/// what became of it, or why nothing did. `is_allowed`: it is in the function's allow list, if there is one.
///
/// # Errors
///
/// When the state cannot be read or written.
pub fn decide(
    account: &Account,
    certificate: &Registered,
    activation: &Activation,
    is_allowed: bool,
) -> Result<Result<String, String>, AccountError> {
    let id = &certificate.certificate_id;
    Ok(match certificate.status {
        _ if !is_allowed => {
            account.set_status(id, CertificateStatus::Inactive)?;
            Ok("INACTIVE: it is not in the allow list".to_owned())
        }
        CertificateStatus::PendingActivation => {
            let der = account.certificate_der(id)?.unwrap_or_default();
            match activate(account, id, &der, &certificate.name, activation)? {
                Settled::Made(made) => Ok(made.status.as_str().to_owned()),
                Settled::Pending(reason) => Err(reason),
                Settled::Waits | Settled::NotAllowed => unreachable!("nobody else is asked"),
            }
        }
        CertificateStatus::Revoked => Err("it is REVOKED and stays so".to_owned()),
        CertificateStatus::Active | CertificateStatus::Inactive => {
            account.set_status(id, CertificateStatus::Active)?;
            Ok("ACTIVE".to_owned())
        }
    })
}

/// Does with a pending certificate what the function of JITR does.
fn activate(
    account: &Account,
    id: &str,
    der: &[u8],
    name: &str,
    activation: &Activation,
) -> Result<Settled, AccountError> {
    let made = match activation {
        Activation::Template(template) => evaluate(template, der),
        Activation::Policies(policies) => Ok(Provisioned {
            thing: Some(ThingMade {
                thing_name: name.to_owned(),
                attributes: BTreeMap::default(),
                thing_type_name: None,
                thing_groups: Vec::new(),
                billing_group: None,
            }),
            certificate: CertificateMade {
                certificate_id: HEXLOWER.encode(&sha256(der)),
                status: CertificateStatus::Active.as_str().to_owned(),
            },
            policies: policies.iter().cloned().map(PolicyMade::PolicyName).collect(),
        }),
    };
    settle(account, id, made)
}

fn evaluate(template: &Template, der: &[u8]) -> Result<Provisioned, String> {
    let facts = Facts::of_certificate(der).map_err(|error| error.to_string())?;
    template.provision(&facts).map_err(|refusal| refusal.to_string())
}

/// Puts what was made into the account, or why nothing was.
fn settle(account: &Account, id: &str, made: Result<Provisioned, String>) -> Result<Settled, AccountError> {
    let made = match made {
        Ok(made) => account.provision(id, &made)?.map_err(|error| error.to_string()),
        Err(reason) => Err(reason),
    };
    match made {
        Ok(made) => Ok(Settled::Made(made)),
        Err(reason) => {
            account.stays_pending(id, &reason)?;
            Ok(Settled::Pending(reason))
        }
    }
}
