//! Just-In-Time Provisioning (JITP): what AWS IoT does when a device connects for the first time, and what it
//! needs for that.
//!
//! ```text
//! template.json ─► Template::read ─► Template ─┬─► check_profile, census ─► findings, faults
//!                                              └─► provision(Facts of a certificate) ─► Provisioned
//! Policies::read ─► Policies ─► decide(Ask, Connection, Home) ─► Decision
//! ```
//!
//! Nothing here speaks to a network. What does is `aws`.

mod allow_list;
mod authorize;
mod bulk;
mod census;
mod declarations;
mod draft;
mod expression;
mod finding;
mod json;
mod name;
mod parameter;
mod pattern;
mod policy;
mod proof;
mod provision;
mod read_resources;
mod resources;
mod template;
pub mod thingpress;

pub use allow_list::{AllowList, AllowListError, HANDLER, certificate_ids};
pub use authorize::{
    Absent, Actual, Ask, Cause, CertificateNames, Clause, ConditionError, Connection, Decision, Home,
    ManyHomes, Miss, NamedHome, Policies, PolicyError, Reason, Unfilled, Unmet, Why, homes_in,
};
pub use bulk::{Bulk, BulkError, BulkFault, NameTaken};
pub use census::{Census, DeviceFault, Renamed, census};
pub use draft::Draft;
pub use expression::NoValue;
pub use finding::{Finding, Severity};
pub use parameter::{Facts, NotCertificate, Parameter};
pub(crate) use pattern::Pattern;
pub use proof::{Proof, ProofError, prove};
pub use provision::{CertificateMade, PolicyMade, Provisioned, Refusal, ThingMade};
pub use template::{Prerequisite, Reading, Template};
