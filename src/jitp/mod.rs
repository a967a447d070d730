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

mod action;
mod allow_list;
mod arn;
mod assumptions;
mod authorize;
mod bulk;
mod census;
mod cloudformation;
mod container;
mod declarations;
mod draft;
mod expression;
mod finding;
mod fit;
mod hcl;
mod json;
mod made;
mod name;
mod parameter;
mod pattern;
mod placeholder;
mod policies;
mod policy;
mod prerequisite;
mod proof;
mod provision;
mod read_expression;
mod read_resources;
mod read_thing;
mod resources;
mod rights;
mod stand_in;
mod template;
mod terraform;
pub mod thingpress;

pub use allow_list::{AllowList, AllowListError, HANDLER, certificate_ids};
pub use arn::{Arn, is_account, is_region};
pub use assumptions::{Assumptions, NoList, SerialNumber};
pub use authorize::{
    Absent, Actual, Ask, Cause, CertificateNames, Clause, ConditionError, Connection, Decision, Greeting,
    Home, ManyHomes, Miss, NamedHome, Policies, PolicyError, Reason, Unfilled, Unmet, Why, homes_in,
};
pub use bulk::{Bulk, BulkError, BulkFault, NameTaken};
pub use census::{Census, DeviceFault, Renamed, census};
pub use draft::Draft;
pub use expression::NoValue;
pub use finding::{Finding, Severity};
pub use made::{CertificateMade, PolicyMade, Provisioned, ThingMade};
pub use parameter::{Facts, NotCertificate, Parameter};
pub(crate) use pattern::Pattern;
pub use policies::{CheckedPolicies, NoPolicy, check_policies, check_policy};
pub use prerequisite::Prerequisite;
pub use proof::{Proof, ProofError, prove};
pub use provision::Refusal;
pub use template::{Reading, Template};
