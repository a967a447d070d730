//! Memory that is kept out of the swap, while a CA's key is in it.
//!
//! A key is copied: by the engine, by the C library, in registers that were saved. So all memory is locked, and not only
//! where a key is known to be; that takes the right to lock as much as there is. Core dumps are off for every command.

use std::fs;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use super::report::warn;

/// Locks the memory of this process, now and later, as far as it is used. Says so where it may not, and there is a swap.
pub fn lock_memory() {
    let limit = getrlimit(Resource::Memlock).current;
    let is_root = capabilities(None).is_ok_and(|own| own.effective.contains(CapabilitySet::IPC_LOCK));
    // With less than all, memory would be refused later, in the middle of something.
    let is_allowed = is_root || limit.is_none();
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if is_allowed && mlockall(flags).is_ok() {
        return;
    }
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if let Some(warning) = unlocked(&swaps, limit) {
        warn(warning);
    }
}

/// What to say of memory that could not be locked. `swaps`: a heading, and a line for each.
fn unlocked(swaps: &str, limit: Option<u64>) -> Option<String> {
    let swap = swaps.lines().nth(1)?.split_whitespace().next()?;
    let limit = limit.map_or_else(String::new, |octets| {
        format!(" (ulimit -l is {} KiB)", octets / 1024)
    });
    Some(format!(
        "memory cannot be locked{limit}, so the CA's key may come to be in the swap {swap}: `ulimit -l unlimited`, LimitMEMLOCK=infinity for systemd, or a swap that is encrypted"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_only_where_there_is_a_swap() {
        let heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert_eq!(unlocked("", Some(8 << 20)), None);
        assert_eq!(unlocked(heading, Some(8 << 20)), None);
        let swaps = format!("{heading}/dev/dm-1                               partition\t8388604\t0\t-2\n");
        let said = unlocked(&swaps, Some(8 << 20)).unwrap();
        assert!(
            said.starts_with("memory cannot be locked (ulimit -l is 8192 KiB), so the CA's key may come to be in the swap /dev/dm-1: "),
            "{said}"
        );
        let said = unlocked(&swaps, None).unwrap();
        assert!(said.starts_with("memory cannot be locked, so "), "{said}");
    }
}
