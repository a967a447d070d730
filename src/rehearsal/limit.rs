//! How many devices may connect at once: each connection has two ends here, and each end is a file of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors that are not connections.
const OTHER_FILES: u64 = 128;

/// What the system lets the process have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Connections at once: as many as were wanted, or fewer.
    pub connections: u32,
    /// Files that the process may open.
    pub files: u64,
}

/// Lets the process have the sockets that so many connections need; or fewer, if it may not.
#[must_use]
pub fn allow_connections(wanted: u32) -> Allowance {
    let limit = getrlimit(Resource::Nofile);
    let needed = 2 * u64::from(wanted) + OTHER_FILES;
    let allowed = limit.maximum.map_or(needed, |maximum| needed.min(maximum));
    let current = limit.current.unwrap_or(u64::MAX);
    let files = if current >= needed {
        needed
    } else {
        let raised = Rlimit {
            current: Some(allowed),
            maximum: limit.maximum,
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => allowed,
            Err(_) => current,
        }
    };
    let connections = u32::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(u32::MAX);
    Allowance {
        connections: connections.clamp(1, wanted),
        files,
    }
}
