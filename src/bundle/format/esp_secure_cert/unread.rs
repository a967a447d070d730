//! Why an image is not read.

/// Why an image is not read. Offsets are of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("it does not begin with an entry of esp_secure_cert")]
    NotAnImage,
    #[error("the entry at octet {offset} is cut off")]
    Cut { offset: usize },
    #[error("the CRC-32 of the entry at octet {offset} is wrong")]
    Sum { offset: usize },
    #[error("the entry at octet {offset}, of type {kind}, is of another kind than certforge writes")]
    Strange { offset: usize, kind: u8 },
    #[error("the entry at octet {offset}, of type {kind}, is there a second time")]
    Twice { offset: usize, kind: u8 },
    #[error("the SHA-256 at octet {offset} is not that of the entries before it")]
    Digest { offset: usize },
    #[error("what the entry of type {kind} holds is damaged")]
    Content { kind: u8 },
    #[error("it has no {0}")]
    Missing(&'static str),
    #[error("octet {offset}, after the last entry, is not that of erased flash")]
    Rest { offset: usize },
}
