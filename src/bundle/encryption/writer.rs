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

/// Random octets of a file itself: its key, and its nonce.
const OF_FILE: usize = FILE_KEY + NONCE;

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
        OF_FILE + self.recipients.len() * POINT
    }

    /// A writer of such files.
    #[must_use]
    pub fn writer(&self) -> FileWriter<'_> {
        FileWriter {
            encryption: self,
            files: 0,
            random: Zeroizing::new(Vec::new()),
            ephemerals: Vec::new(),
            shared: Zeroizing::new(Vec::new()),
        }
    }
}

/// Appends encrypted files to buffers.
pub struct FileWriter<'a> {
    encryption: &'a Encryption,
    /// Files that are to be written.
    files: usize,
    /// The key and the nonce of each; behind them, until they are agreed on, the ephemeral secrets for each recipient.
    random: Zeroizing<Vec<u8>>,
    /// The ephemeral public keys of all files for one recipient, then for the next.
    ephemerals: Vec<[u8; POINT]>,
    /// What they and the recipient have in common.
    shared: Zeroizing<Vec<[u8; POINT]>>,
}

impl FileWriter<'_> {
    /// Gets ready for so many files. `fill` fills a slice with random octets. `agree` makes, for the recipient of this number,
    /// the public key of each secret and what both have in common; where it says that it did not, that is made here.
    ///
    /// # Errors
    ///
    /// When there are no random octets.
    ///
    /// # Panics
    ///
    /// When a recipient has nothing but zeros in common with everybody, which none that was read has.
    pub fn prepare<E>(
        &mut self,
        files: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
        mut agree: impl FnMut(usize, &[[u8; POINT]], &mut [[u8; POINT]], &mut [[u8; POINT]]) -> bool,
    ) -> Result<(), E> {
        let recipients = &self.encryption.recipients;
        self.files = files;
        renew(&mut self.random, files * self.encryption.random_len());
        renew(&mut self.shared, files * recipients.len());
        self.ephemerals.clear();
        self.ephemerals.resize(files * recipients.len(), [0; POINT]);
        fill(&mut self.random)?;
        if files == 0 {
            return Ok(());
        }
        let secrets = &mut self.random[files * OF_FILE..];
        let places = self
            .ephemerals
            .chunks_mut(files)
            .zip(self.shared.chunks_mut(files));
        let secrets_of = secrets.as_chunks::<POINT>().0.chunks(files);
        for (number, (secrets, (ephemerals, shared))) in secrets_of.zip(places).enumerate() {
            if !agree(number, secrets, ephemerals, shared) {
                agree_one_by_one(&recipients[number], secrets, ephemerals, shared);
            }
        }
        secrets.zeroize();
        Ok(())
    }

    /// Appends the file of this number among those that were prepared, which is used once.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn append(&mut self, number: usize, plain: &[u8], out: &mut Vec<u8>) {
        assert!(number < self.files, "it was prepared");
        let random = &mut self.random[number * OF_FILE..][..OF_FILE];
        let (file_key, nonce) = random
            .split_first_chunk::<FILE_KEY>()
            .expect("it begins with that");
        assert!(file_key != &[0; FILE_KEY], "a file's random octets are used once");
        let nonce = nonce.first_chunk::<NONCE>().expect("it ends with that");

        let start = out.len();
        out.reserve(self.encryption.encrypted_len(plain.len()));
        out.extend_from_slice(VERSION_LINE);
        for (i, recipient) in self.encryption.recipients.iter().enumerate() {
            let place = i * self.files + number;
            let shared = &mut self.shared[place];
            let agreed = Agreed {
                ephemeral: &self.ephemerals[place],
                recipient: recipient.point(),
                shared,
            };
            append_stanza(&agreed, file_key, out);
            shared.zeroize();
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

/// Empties a buffer of secrets, and fills it with so many zeros.
fn renew<T: Zeroize + Clone + Default>(buffer: &mut Zeroizing<Vec<T>>, len: usize) {
    buffer.zeroize();
    if buffer.capacity() < len {
        // What is grown leaves a copy behind.
        **buffer = Vec::with_capacity(len);
    }
    buffer.resize(len, T::default());
}

fn agree_one_by_one(
    recipient: &Recipient,
    secrets: &[[u8; POINT]],
    ephemerals: &mut [[u8; POINT]],
    shared: &mut [[u8; POINT]],
) {
    for ((secret, ephemeral), shared) in secrets.iter().zip(ephemerals).zip(shared) {
        let secret = PrivateKey::from_private_key(&X25519, secret).expect("it has 32 octets");
        let public = secret
            .compute_public_key()
            .expect("every secret has a public key");
        ephemeral.copy_from_slice(public.as_ref());
        let point = UnparsedPublicKey::new(&X25519, recipient.point());
        // Where aws-lc finds a shared secret of zeros it is an error (RFC 7748, 6.1).
        let agreed = agree(&secret, point, Unspecified, |octets| {
            shared.copy_from_slice(octets);
            Ok(())
        });
        agreed.expect("a recipient of low order is none");
    }
}

fn append_stanza(agreed: &Agreed<'_>, file_key: &[u8; FILE_KEY], out: &mut Vec<u8>) {
    out.extend_from_slice(STANZA);
    out.extend_from_slice(KIND.as_bytes());
    out.push(b' ');
    append_base64(agreed.ephemeral, out);
    append_base64(&agreed.wrap(file_key), out);
}

/// 32 octets in base64, and the end of the line.
fn append_base64(octets: &[u8; 32], out: &mut Vec<u8>) {
    BASE64.encode_append(octets, out);
    out.push(b'\n');
}
