//! The writer of encrypted files: header, nonce, payload, at the end of a buffer.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use zeroize::{Zeroize, Zeroizing};

use super::kdf::{self, Agreed};
use super::{
    BASE64, BASE64_OF_32, FILE_KEY, FOOTER, MAC, NONCE, POINT, Recipient, STANZA, VERSION_LINE,
    X25519 as KIND, payload,
};

/// Octets of a stanza: its first line, and its body in another.
const OF_STANZA: usize = STANZA.len() + KIND.len() + 1 + BASE64_OF_32 + 1 + BASE64_OF_32 + 1;

/// Octets of the end of a header.
const OF_FOOTER: usize = FOOTER.len() + 1 + BASE64_OF_32 + 1;

/// For whom the bundles of a batch are encrypted.
#[derive(Debug, Clone)]
pub struct Encryption {
    recipients: Vec<Recipient>,
}

impl Encryption {
    /// # Panics
    ///
    /// Without recipients, nobody could ever read it.
    #[must_use]
    pub fn new(recipients: &[Recipient]) -> Self {
        assert!(!recipients.is_empty(), "somebody is to read it");
        Self {
            recipients: recipients.to_vec(),
        }
    }

    /// Octets that a file of so many octets has when it is encrypted.
    #[must_use]
    pub fn encrypted_len(&self, plain: usize) -> usize {
        self.header_len() + NONCE + payload::sealed_len(plain)
    }

    fn header_len(&self) -> usize {
        VERSION_LINE.len() + self.recipients.len() * OF_STANZA + OF_FOOTER
    }

    /// Random octets that a file takes: its key, its nonce, and an ephemeral secret for each recipient.
    fn random_len(&self) -> usize {
        FILE_KEY + NONCE + self.recipients.len() * POINT
    }

    /// A writer of such files.
    #[must_use]
    pub fn writer(&self) -> FileWriter<'_> {
        FileWriter {
            encryption: self,
            random: Zeroizing::new(Vec::new()),
        }
    }
}

/// Appends encrypted files to buffers.
pub struct FileWriter<'a> {
    encryption: &'a Encryption,
    /// Of the files that are to be written, one after the other.
    random: Zeroizing<Vec<u8>>,
}

impl FileWriter<'_> {
    /// Gets ready for so many files. `fill` fills a slice with random octets.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn prepare<E>(
        &mut self,
        files: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let len = files * self.encryption.random_len();
        self.random.zeroize();
        if self.random.capacity() < len {
            // What is grown leaves a copy behind.
            *self.random = Vec::with_capacity(len);
        }
        self.random.resize(len, 0);
        fill(&mut self.random)
    }

    /// Appends the file of this number among those that were prepared, which is used once.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn append(&mut self, number: usize, plain: &[u8], out: &mut Vec<u8>) {
        let len = self.encryption.random_len();
        let random = &mut self.random[number * len..][..len];
        let (keys, ephemerals) = random.split_at(FILE_KEY + NONCE);
        let (file_key, nonce) = keys.split_first_chunk::<FILE_KEY>().expect("it begins with that");
        assert!(file_key != &[0; FILE_KEY], "a file's random octets are used once");
        let nonce = nonce.first_chunk::<NONCE>().expect("it ends with that");

        let start = out.len();
        out.reserve(self.encryption.encrypted_len(plain.len()));
        out.extend_from_slice(VERSION_LINE);
        let shares = ephemerals.as_chunks::<POINT>().0;
        for (recipient, secret) in self.encryption.recipients.iter().zip(shares) {
            append_stanza(recipient, secret, file_key, out);
        }
        out.extend_from_slice(FOOTER);
        let mac: [u8; MAC] = kdf::header_mac(file_key, &out[start..]);
        out.push(b' ');
        append_base64(&mac, out);
        out.extend_from_slice(nonce);
        payload::append(&kdf::payload_key(file_key, nonce), plain, out);
        random.zeroize();
    }
}

fn append_stanza(recipient: &Recipient, secret: &[u8; POINT], file_key: &[u8; FILE_KEY], out: &mut Vec<u8>) {
    let secret = PrivateKey::from_private_key(&X25519, secret).expect("it has 32 octets");
    let public = secret
        .compute_public_key()
        .expect("every secret has a public key");
    let ephemeral: &[u8; POINT] = public.as_ref().try_into().expect("it has 32 octets");
    let point = UnparsedPublicKey::new(&X25519, recipient.point());
    let wrapped = agree(&secret, point, Unspecified, |shared| {
        let agreed = Agreed {
            ephemeral,
            recipient: recipient.point(),
            shared: shared.first_chunk().ok_or(Unspecified)?,
        };
        Ok(agreed.wrap(file_key))
    });
    let wrapped = wrapped.expect("a recipient of low order is none");
    out.extend_from_slice(STANZA);
    out.extend_from_slice(KIND.as_bytes());
    out.push(b' ');
    append_base64(ephemeral, out);
    append_base64(&wrapped, out);
}

/// 32 octets in base64, and the end of the line.
fn append_base64(octets: &[u8; 32], out: &mut Vec<u8>) {
    BASE64.encode_append(octets, out);
    out.push(b'\n');
}
