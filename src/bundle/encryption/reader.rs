//! The one reader of encrypted files, as strict as the specification: what it does not allow is refused, never put right.

use zeroize::Zeroizing;

use super::kdf::{self, Agreed};
use super::{
    BASE64, BASE64_OF_32, FILE_KEY, FOOTER, Identities, MAC, NONCE, POINT, STANZA, VERSION_LINE, WRAPPED_KEY,
    X25519, payload,
};

/// Characters of a line of a stanza's body.
const COLUMNS: usize = 64;

/// Stanzas of a file, at most, and octets of a header: many times what recipients there may be.
const MOST_STANZAS: usize = 1024;
const MOST_HEADER: usize = 256 * 1024;

/// Why octets cannot be decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    #[error("it is not encrypted in the age format")]
    NotEncrypted,
    #[error("it is armored, as text, which bundles are not")]
    Armored,
    #[error("its header is malformed: {0}")]
    Header(&'static str),
    #[error("it is encrypted for somebody else")]
    SomebodyElse,
    #[error("its header was changed: it is not the one that was encrypted")]
    Changed,
    #[error("its content was changed, or its end is missing")]
    Payload,
}

/// Whether octets say that they are encrypted in the age format.
#[must_use]
pub fn is_encrypted(octets: &[u8]) -> bool {
    octets.starts_with(VERSION_LINE) || octets.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}

/// Decrypts a whole file.
///
/// # Errors
///
/// When none of the identities is a recipient's, or a single octet was changed.
pub fn decrypt(file: &[u8], identities: &Identities) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let header = Header::read(file)?;
    let file_key = header.file_key(identities)?;
    if !kdf::is_header_mac(&file_key, header.authenticated, &header.mac) {
        return Err(DecryptError::Changed);
    }
    let (nonce, sealed) = header
        .payload
        .split_first_chunk::<NONCE>()
        .ok_or(DecryptError::Header("its nonce is missing"))?;
    payload::open(&kdf::payload_key(&file_key, nonce), sealed).ok_or(DecryptError::Payload)
}

/// A recipient's share of the file key.
struct Share {
    ephemeral: [u8; POINT],
    wrapped: [u8; WRAPPED_KEY],
}

struct Header<'a> {
    shares: Vec<Share>,
    /// What the HMAC is of.
    authenticated: &'a [u8],
    mac: [u8; MAC],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(file: &'a [u8]) -> Result<Self, DecryptError> {
        let malformed = DecryptError::Header;
        if !file.starts_with(VERSION_LINE) {
            return Err(match is_encrypted(file) {
                true => DecryptError::Armored,
                false => DecryptError::NotEncrypted,
            });
        }
        let mut lines = Lines {
            file,
            at: VERSION_LINE.len(),
        };
        let mut shares = Vec::new();
        let (mut stanzas, mut has_passphrase) = (0, false);
        loop {
            let start = lines.at;
            let line = lines.next()?;
            if let Some(mac) = line.strip_prefix(FOOTER) {
                let mac = mac.strip_prefix(b" ").ok_or(malformed("its end"))?;
                let mac = decode_32(mac).ok_or(malformed("its HMAC"))?;
                return match stanzas {
                    0 => Err(malformed("it has no recipient")),
                    2.. if has_passphrase => Err(malformed("a passphrase beside other recipients")),
                    _ => Ok(Self {
                        shares,
                        authenticated: &file[..start + FOOTER.len()],
                        mac,
                        payload: &file[lines.at..],
                    }),
                };
            }
            let arguments = line.strip_prefix(STANZA).ok_or(malformed("a line of it"))?;
            let arguments = arguments_of(arguments).ok_or(malformed("a recipient's line"))?;
            let body = body(&mut lines)?;
            stanzas += 1;
            has_passphrase |= arguments[0] == b"scrypt";
            if stanzas > MOST_STANZAS {
                return Err(malformed("it has too many recipients"));
            }
            if arguments[0] == X25519.as_bytes() {
                shares.push(share(&arguments, &body).ok_or(malformed("a recipient's share"))?);
            }
        }
    }

    /// The file key, by the first share that opens.
    fn file_key(&self, identities: &Identities) -> Result<Zeroizing<[u8; FILE_KEY]>, DecryptError> {
        for identity in identities.iter() {
            for share in &self.shares {
                let shared = identity
                    .agree(&share.ephemeral)
                    .ok_or(DecryptError::Header("a share of low order"))?;
                let agreed = Agreed {
                    ephemeral: &share.ephemeral,
                    recipient: identity.recipient().point(),
                    shared: &shared,
                };
                if let Some(file_key) = agreed.unwrap(&share.wrapped) {
                    return Ok(file_key);
                }
            }
        }
        Err(DecryptError::SomebodyElse)
    }
}

/// The lines of a header.
struct Lines<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a [u8], DecryptError> {
        let rest = &self.file[self.at..self.file.len().min(MOST_HEADER)];
        let end = memchr::memchr(b'\n', rest).ok_or(DecryptError::Header("it has no end"))?;
        self.at += end + 1;
        Ok(&rest[..end])
    }
}

/// The arguments of a stanza, one at least: printable characters, with one blank between them.
fn arguments_of(line: &[u8]) -> Option<Vec<&[u8]>> {
    let arguments: Vec<&[u8]> = line.split(|octet| *octet == b' ').collect();
    let is_sound = |argument: &&[u8]| !argument.is_empty() && argument.iter().all(u8::is_ascii_graphic);
    arguments.iter().all(is_sound).then_some(arguments)
}

/// The body of a stanza: full lines, and one that is shorter, perhaps empty.
fn body(lines: &mut Lines<'_>) -> Result<Vec<u8>, DecryptError> {
    let malformed = DecryptError::Header("a recipient's body");
    let mut text = Vec::new();
    loop {
        let line = lines.next()?;
        if line.len() > COLUMNS {
            return Err(malformed);
        }
        text.extend_from_slice(line);
        if line.len() < COLUMNS {
            return decode(&text).ok_or(malformed);
        }
    }
}

/// Decodes base64 without padding, of which there is one form only.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode_to_vec(text).ok()
}

fn decode_32(text: &[u8]) -> Option<[u8; 32]> {
    let octets = (text.len() == BASE64_OF_32).then(|| decode(text))?;
    octets?.try_into().ok()
}

fn share(arguments: &[&[u8]], body: &[u8]) -> Option<Share> {
    let [_, ephemeral] = arguments else { return None };
    Some(Share {
        ephemeral: decode_32(ephemeral)?,
        wrapped: body.try_into().ok()?,
    })
}
