//! What shall be in the account, so that devices of a CA come up at their first connection.

use std::path::PathBuf;

use data_encoding::HEXLOWER;

use crate::issuer::CertificateMode;
use crate::jitp::Prerequisite;

/// What shall be in the account.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// SHA-256 of the CA's certificate.
    pub ca_id: [u8; 32],
    pub mode: CertificateMode,
    pub flow: Flow,
    pub role: Role,
    /// Where the endpoint is noted for later runs, and what is noted there now.
    pub note: Option<(PathBuf, Option<String>)>,
}

/// What happens when a device connects for the first time.
#[derive(Debug, Clone)]
pub enum Flow {
    /// AWS IoT runs a template (JITP).
    Jitp {
        body: String,
        /// The template is kept under this name, with versions; `None`: in the CA's registration.
        template_name: Option<String>,
        prerequisites: Vec<Prerequisite>,
        /// ARNs in the template's policies.
        policy_resources: Vec<String>,
        /// What may be wrong with the template.
        warnings: Vec<String>,
    },
    /// A rule calls a function, which decides (JITR).
    Jitr { function: String },
}

/// The role that AWS IoT takes to run a template.
#[derive(Debug, Clone)]
pub enum Role {
    /// One that certforge makes, or finds.
    Named(String),
    /// Somebody else's, taken as it is.
    Arn(String),
}

impl Wanted {
    /// JITR needs no role: the function has its own.
    pub(super) fn needs_role(&self) -> bool {
        matches!(self.flow, Flow::Jitp { .. })
    }
}

/// The name of the rule for a CA.
#[must_use]
pub fn rule_name(ca_id: &[u8; 32]) -> String {
    format!("certforge_jitr_{}", HEXLOWER.encode(&ca_id[..8]))
}
