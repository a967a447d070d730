//! AWS IoT and IAM: what JITP needs in the cloud, found, compared with what is wanted, and made.
//!
//! ```text
//! Wanted ────┐
//!            ├─► Registration::new ─► Registration ─► carry_out ─► AWS
//! Inventory ◄┘
//!   ▲
//! Cloud::find
//! ```
//!
//! A registration is pure: what would be done is known, and can be printed, before anything is changed. Nothing is
//! changed but by [`Registration::carry_out`] and [`Withdrawing::carry_out`].

mod action;
mod api;
mod asset;
mod call;
mod carry_out;
mod cloud;
mod command;
mod declared;
mod difference;
mod find;
mod inventory;
mod readiness;
mod registration;
mod revoke;
mod role;
mod single;
mod wanted;
mod withdraw;

pub use crate::issuer::CertificateMode;
pub use action::{Action, ActionError};
pub use asset::{Asset, AssetState};
pub use call::AwsError;
pub use carry_out::Prove;
pub use cloud::{Caller, Cloud, UNASKED_ACCOUNT, UNASKED_REGION};
pub use command::CommandWords;
pub use declared::{cloudformation, terraform};
pub use difference::Difference;
pub use inventory::{IamRole, Inventory, ProvisioningTemplate, RegisteredCa, RegistrationConfig, TopicRule};
pub use readiness::{Readiness, Runs};
pub use registration::{Registration, permission};
pub use role::{IotTrust, iot_trust, managed_policies, trust_policy};
pub use single::{OpenStore, Outcome, note_revoked, revoke_certificates};
pub use wanted::{Flow, Role, Wanted, rule_name};
pub use withdraw::{Named, Outlook, RevocationSummary, Terms, WithdrawError, Withdrawing};
