//! AWS IoT and IAM: what JITP needs in the cloud, found, compared with what is wanted, and made.
//!
//! ```text
//! Wanted ─┐
//!         ├─► Plan::new ─► Plan ─► Cloud::carry_out
//! Found ◄─┘
//!   ▲
//! Cloud::find
//! ```
//!
//! A plan is pure: what would be done is known, and can be printed, before anything is changed. Nothing is
//! changed but by [`Cloud::carry_out`], [`Cloud::stop_registration`] and [`Withdrawing::revoke`].

mod action;
mod call;
mod cloud;
mod command;
mod difference;
mod find;
mod plan;
mod revoke;
mod withdraw;

pub use action::{Action, ActionError, Prove};
pub use call::AwsError;
pub use cloud::{Caller, Cloud};
pub use command::Place;
pub use difference::Difference;
pub use find::{Found, FoundCa, FoundRole, FoundRule, FoundTemplate, RegistrationConfig};
pub use plan::{
    Flow, Mode, Plan, Role, State, Step, Wanted, managed_policies, permission, rule_name, trust_policy,
    trusts_iot,
};
pub use withdraw::{Tally, WithdrawError, Withdrawing};
