//! Devices that are another batch's already.

use std::fmt;

/// What a run is told that comes second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The first of them.
    pub device_ids: Vec<String>,
    /// Of this chunk, so many.
    pub devices: u64,
    pub batch: String,
    pub location: String,
    /// Whether they are issued, or being made.
    pub is_issued: bool,
    /// Where the batch was begun, if that is known.
    pub host: Option<String>,
    pub since: String,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.device_ids.join(", ");
        let others = self.devices.saturating_sub(self.device_ids.len() as u64);
        match (self.devices, others) {
            (1, _) => write!(f, "device {named} is")?,
            (_, 0) => write!(f, "devices {named} are")?,
            (_, others) => write!(f, "devices {named} and {others} more are")?,
        }
        let what = if self.is_issued { "issued" } else { "being made" };
        write!(
            f,
            " {what} in batch {} ({}), begun {}",
            self.batch, self.location, self.since
        )?;
        match &self.host {
            Some(host) => write!(f, " on {host}"),
            None => Ok(()),
        }
    }
}
