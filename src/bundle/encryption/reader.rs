//! The one reader of encrypted files, as strict as the specification: what it does not allow is refused, never put right.

use zeroize::Zeroizing;

use super::decrypt_error::{DecryptError, FileKey};
use super::identity::Own;
use super::kdf::{self, Agreed};
use super::stanza::{Stanza, add_line, arguments_of, decode};
use super::{
    BASE64_OF_32, FOOTER, Identities, Identity, MAC, NONCE, POINT, STANZA, VERSION_LINE, WRAPPED_KEY, X25519,
    payload,
};

/// Stanzas of a file, at most, and octets of a header: many times what recipients there may be.
const MOST_STANZAS: usize = 1024;
const MOST_HEADER: usize = 256 * 1024;

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
    /// All of them, and those of other kinds.
    stanzas: Vec<Stanza>,
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
        let (mut shares, mut stanzas) = (Vec::new(), Vec::new());
        let mut has_passphrase = false;
        loop {
            let start = lines.at;
            let line = lines.next()?;
            if let Some(mac) = line.strip_prefix(FOOTER) {
                let mac = mac.strip_prefix(b" ").ok_or(malformed("its end"))?;
                let mac = decode_32(mac).ok_or(malformed("its HMAC"))?;
                return match stanzas.len() {
                    0 => Err(malformed("it has no recipient")),
                    2.. if has_passphrase => Err(malformed("a passphrase beside other recipients")),
                    _ => Ok(Self {
                        shares,
                        stanzas,
                        authenticated: &file[..start + FOOTER.len()],
                        mac,
                        payload: &file[lines.at..],
                    }),
                };
            }
            let arguments = line.strip_prefix(STANZA).ok_or(malformed("a line of it"))?;
            let arguments = arguments_of(arguments).ok_or(malformed("a recipient's line"))?;
            let body = body(&mut lines)?;
            has_passphrase |= arguments[0] == "scrypt";
            if stanzas.len() == MOST_STANZAS {
                return Err(malformed("it has too many recipients"));
            }
            if arguments[0] == X25519 {
                shares.push(share(&arguments, &body).ok_or(malformed("a recipient's share"))?);
            }
            stanzas.push(Stanza {
                arguments: arguments.into_iter().map(str::to_owned).collect(),
                body,
            });
        }
    }

    /// The file key, by the first share that opens.
    fn file_key(&self, identities: &Identities) -> Result<FileKey, DecryptError> {
        for own in identities.iter() {
            let opened = match own {
                Own::X25519(identity) => self.opened_by(identity)?,
                Own::Other(other) => other.open(&self.stanzas)?,
            };
            if let Some(file_key) = opened {
                return Ok(file_key);
            }
        }
        Err(DecryptError::SomebodyElse)
    }

    fn opened_by(&self, identity: &Identity) -> Result<Option<FileKey>, DecryptError> {
        for share in &self.shares {
            let shared = identity
                .agree(&share.ephemeral)
                .ok_or(DecryptError::Header("a share of low order"))?;
            let agreed = Agreed {
                ephemeral: &share.ephemeral,
                recipient: identity.point(),
                shared: &shared,
                info: kdf::X25519_INFO,
            };
            if let Some(file_key) = agreed.unwrap(&share.wrapped) {
                return Ok(Some(file_key));
            }
        }
        Ok(None)
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

/// The body of a stanza.
fn body(lines: &mut Lines<'_>) -> Result<Vec<u8>, DecryptError> {
    let malformed = DecryptError::Header("a recipient's body");
    let mut text = Vec::new();
    loop {
        match add_line(lines.next()?, &mut text) {
            None => return Err(malformed),
            Some(false) => {}
            Some(true) => return decode(&text).ok_or(malformed),
        }
    }
}

fn decode_32(text: &[u8]) -> Option<[u8; 32]> {
    let octets = (text.len() == BASE64_OF_32).then(|| decode(text))?;
    octets?.try_into().ok()
}

fn share(arguments: &[&str], body: &[u8]) -> Option<Share> {
    let [_, ephemeral] = arguments else { return None };
    Some(Share {
        ephemeral: decode_32(ephemeral.as_bytes())?,
        wrapped: body.try_into().ok()?,
    })
}
