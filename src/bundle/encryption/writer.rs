//! The writer of encrypted files: header, nonce, payload, at the end of a buffer.

use std::sync::Arc;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::OaepPublicEncryptingKey;
use base64_simd::Out;

use super::kdf::{self, Hmacs, Many};
use super::recipient::{Kind, PluginRecipient, Recipient};
use super::ssh::{self, Sharing};
use super::stanza::{self, body_len};
use super::{
    BASE64, BASE64_OF_32, FILE_KEY, FOOTER, NONCE, POINT, STANZA, VERSION_LINE, X25519 as X25519_KIND,
    payload,
};
use crate::wiped::{WipedVec, wipe};

/// Octets of the end of a stanza that is agreed on: the ephemeral key, and its body in another line.
const OF_AGREED: usize = BASE64_OF_32 + 1 + BASE64_OF_32 + 1;

/// Octets of the stanzas of a plugin's recipient, at most.
pub const MAX_PLUGIN_STANZAS: usize = 4 * 1024;

/// Octets of the end of a header.
const OF_FOOTER: usize = FOOTER.len() + OF_MAC;

/// Of the HMAC in there: a blank, the HMAC, and the end of the line.
const OF_MAC: usize = 1 + BASE64_OF_32 + 1;

/// Random octets of a file itself: its key, and its nonce.
const OF_FILE: usize = FILE_KEY + NONCE;

/// For whom the bundles of a batch are encrypted.
#[derive(Debug, Clone)]
pub struct Encryption {
    points: Vec<Point>,
    rsa: Vec<Rsa>,
    /// The recipients of each plugin.
    plugins: Vec<Vec<PluginRecipient>>,
}

/// A recipient with whom a secret is agreed on.
#[derive(Debug, Clone)]
struct Point {
    /// How its stanza begins.
    head: String,
    peer: [u8; POINT],
    salt: [u8; POINT],
    info: &'static [u8],
}

/// A recipient with a key of RSA.
#[derive(Debug, Clone)]
struct Rsa {
    tag: String,
    key: Arc<OaepPublicEncryptingKey>,
}

impl Encryption {
    /// # Panics
    ///
    /// Without recipients, nobody could ever read it.
    #[must_use]
    pub fn new(recipients: &[Recipient]) -> Self {
        assert!(!recipients.is_empty(), "somebody is to read it");
        let (mut points, mut rsa) = (Vec::new(), Vec::new());
        let mut plugins: Vec<Vec<PluginRecipient>> = Vec::new();
        for recipient in recipients {
            match recipient.kind() {
                Kind::X25519(point) => points.push(Point {
                    head: format!("-> {X25519_KIND} "),
                    peer: *point,
                    salt: *point,
                    info: kdf::X25519_INFO,
                }),
                Kind::Ssh(own) => match own.sharing().expect("it was looked at when it was read") {
                    Sharing::Point { peer, salt } => points.push(Point {
                        head: format!("-> {} {} ", own.kind(), own.tag()),
                        peer,
                        salt,
                        info: ssh::ED25519_INFO,
                    }),
                    Sharing::Rsa(key) => rsa.push(Rsa {
                        tag: own.tag(),
                        key: Arc::new(key),
                    }),
                },
                Kind::Plugin(own) => {
                    let same = plugins.iter_mut().find(|some| some[0].plugin() == own.plugin());
                    match same {
                        Some(some) => some.push(own.clone()),
                        None => plugins.push(vec![own.clone()]),
                    }
                }
            }
        }
        Self { points, rsa, plugins }
    }

    /// The points that secrets are agreed on with.
    pub fn points(&self) -> impl Iterator<Item = &[u8; POINT]> {
        self.points.iter().map(|point| &point.peer)
    }

    /// The recipients of each plugin.
    #[must_use]
    pub fn plugins(&self) -> &[Vec<PluginRecipient>] {
        &self.plugins
    }

    /// Octets that a file of so many octets has when it is encrypted; with recipients of plugins, at most.
    #[must_use]
    pub fn encrypted_len(&self, plain: usize) -> usize {
        self.header_len() + NONCE + payload::sealed_len(plain)
    }

    fn header_len(&self) -> usize {
        let points = self.points.iter().map(|point| point.head.len() + OF_AGREED);
        let rsa = self.rsa.iter().map(|rsa| {
            let head = STANZA.len() + ssh::RSA.len() + 1 + rsa.tag.len() + 1;
            head + body_len(rsa.key.ciphertext_size())
        });
        let plugins = self.plugins.iter().flatten().map(|_| MAX_PLUGIN_STANZAS);
        VERSION_LINE.len() + points.chain(rsa).chain(plugins).sum::<usize>() + OF_FOOTER
    }

    /// Random octets that a file takes: its key, its nonce, and an ephemeral secret for each point.
    fn random_len(&self) -> usize {
        OF_FILE + self.points.len() * POINT
    }

    /// A writer of such files.
    #[must_use]
    pub fn writer(&self) -> FileWriter<'_> {
        FileWriter {
            encryption: self,
            files: 0,
            random: WipedVec::default(),
            ephemerals: Vec::new(),
            shared: WipedVec::default(),
            headers: Vec::new(),
            ends: Vec::new(),
            keys: Many::default(),
        }
    }
}

/// Appends encrypted files to buffers.
///
/// Whatever does not depend on what the files hold is made for many of them at once: what is agreed on, all keys, and the
/// headers.
pub struct FileWriter<'a> {
    encryption: &'a Encryption,
    /// Files that are to be written, once all of them are prepared.
    files: usize,
    /// The key and the nonce of each; behind them, until they are agreed on, the ephemeral secrets for each point.
    random: WipedVec<u8>,
    /// The ephemeral public keys of all files for one point, then for the next.
    ephemerals: Vec<[u8; POINT]>,
    /// What they and the recipient have in common.
    shared: WipedVec<[u8; POINT]>,
    /// The header of each file with its nonce, and where each ends.
    headers: Vec<u8>,
    ends: Vec<usize>,
    /// What the payload of each file is sealed with.
    keys: Many,
}

impl FileWriter<'_> {
    /// Gets ready for so many files. `fill` fills a slice with random octets. `agree` makes, for the point of this number,
    /// the public key of each secret and what both have in common; where it says that it did not, that is made here.
    /// Recipients of plugins need [`Self::prepare_with`].
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
        agree: impl FnMut(usize, &[[u8; POINT]], &mut [[u8; POINT]], &mut [[u8; POINT]]) -> bool,
    ) -> Result<(), E> {
        self.prepare_with(files, fill, agree, |_, _| unreachable!("there are no plugins"))
    }

    /// The same, where plugins take part: `wrap` makes, for the recipients of one of them, the stanzas of each file key, as text.
    ///
    /// # Errors
    ///
    /// When there are no random octets, or a plugin fails.
    ///
    /// # Panics
    ///
    /// As [`Self::prepare`], or when a plugin's stanzas are longer than [`MAX_PLUGIN_STANZAS`] for each recipient.
    pub fn prepare_with<E>(
        &mut self,
        files: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
        mut agree: impl FnMut(usize, &[[u8; POINT]], &mut [[u8; POINT]], &mut [[u8; POINT]]) -> bool,
        wrap: impl FnMut(&[PluginRecipient], &[&[u8; FILE_KEY]]) -> Result<Vec<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let points = &self.encryption.points;
        self.files = 0;
        self.random.renew(files * self.encryption.random_len());
        self.shared.renew(files * points.len());
        self.ephemerals.clear();
        self.ephemerals.resize(files * points.len(), [0; POINT]);
        self.headers.clear();
        self.ends.clear();
        fill(&mut self.random)?;
        if files == 0 {
            return Ok(());
        }
        let (of_files, secrets) = self.random.split_at_mut(files * OF_FILE);
        let places = self
            .ephemerals
            .chunks_mut(files)
            .zip(self.shared.chunks_mut(files));
        let secrets_of = secrets.as_chunks::<POINT>().0.chunks(files);
        for (number, (secrets, (ephemerals, shared))) in secrets_of.zip(places).enumerate() {
            if !agree(number, secrets, ephemerals, shared) {
                agree_one_by_one(&points[number].peer, secrets, ephemerals, shared);
            }
        }
        wipe(secrets);
        let file_keys: Vec<&[u8; FILE_KEY]> = of_files.chunks(OF_FILE).map(|own| parts(own).0).collect();
        let others = wrapped_otherwise(self.encryption, &file_keys, wrap)?;
        self.files = files;
        self.make_headers(&others);
        self.random.wipe();
        self.shared.wipe();
        Ok(())
    }

    /// The headers of all files, and the keys of their payloads, once everything is agreed on. `others` are the stanzas that
    /// nothing was agreed on for.
    fn make_headers(&mut self, others: &[Vec<u8>]) {
        let (files, points) = (self.files, &self.encryption.points);
        let of_files: Vec<_> = self.random[..files * OF_FILE]
            .chunks(OF_FILE)
            .map(parts)
            .collect();
        let unsalted = of_files.iter().map(|(key, _)| (*key, &[][..]));
        let header_keys = kdf::derive_many(unsalted, kdf::HEADER_INFO);
        let salted = of_files.iter().map(|(key, nonce)| (*key, &nonce[..]));
        self.keys = kdf::derive_many(salted, kdf::PAYLOAD_INFO);
        let mut wrapping = Vec::with_capacity(points.len());
        for (i, point) in points.iter().enumerate() {
            let ephemerals = &self.ephemerals[i * files..][..files];
            let salts: Vec<_> = ephemerals
                .iter()
                .map(|ephemeral| kdf::salt(ephemeral, &point.salt))
                .collect();
            let shared = &self.shared[i * files..][..files];
            let pairs = shared.iter().zip(&salts);
            wrapping.push(kdf::derive_many(
                pairs.map(|(own, salt)| (own, &salt[..])),
                point.info,
            ));
        }
        let room = self.encryption.header_len();
        self.headers.reserve(files * (room + NONCE));
        let mut hmacs = Hmacs::with_room(files, files * room);
        for (number, (file_key, nonce)) in of_files.iter().enumerate() {
            let start = self.headers.len();
            self.headers.extend_from_slice(VERSION_LINE);
            for (i, point) in points.iter().enumerate() {
                self.headers.extend_from_slice(point.head.as_bytes());
                append_base64(&self.ephemerals[i * files + number], &mut self.headers);
                append_base64(&kdf::wrap(&wrapping[i][number], file_key), &mut self.headers);
            }
            if let Some(stanzas) = others.get(number) {
                self.headers.extend_from_slice(stanzas);
            }
            self.headers.extend_from_slice(FOOTER);
            hmacs.push(&header_keys[number], &[&self.headers[start..]]);
            // The HMAC comes when all are there.
            self.headers.resize(self.headers.len() + OF_MAC, b' ');
            self.headers.extend_from_slice(*nonce);
            self.ends.push(self.headers.len());
        }
        for (mac, end) in hmacs.finish().iter().zip(&self.ends) {
            let place = &mut self.headers[end - NONCE - OF_MAC + 1..end - NONCE];
            let (text, line_end) = place.split_at_mut(BASE64_OF_32);
            let _ = BASE64.encode(mac, Out::from_slice(text));
            line_end[0] = b'\n';
        }
    }

    /// Appends the file of this number among those that were prepared, which is used once.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn append(&mut self, number: usize, plain: &[u8], out: &mut Vec<u8>) {
        assert!(number < self.files, "it was prepared");
        let key = &mut self.keys[number];
        assert!(*key != [0; 32], "a file's key is used once");
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let header = &self.headers[start..self.ends[number]];
        out.reserve(header.len() + payload::sealed_len(plain.len()));
        out.extend_from_slice(header);
        payload::append(&kdf::cipher(key), plain, out);
        wipe(key);
    }
}

/// The key of a file and its nonce, of its random octets.
fn parts(of_file: &[u8]) -> (&[u8; FILE_KEY], &[u8; NONCE]) {
    let (key, nonce) = of_file.split_first_chunk().expect("it begins with that");
    (key, nonce.first_chunk().expect("it ends with that"))
}

/// The stanzas of each file that nothing is agreed on for; none where there are no such recipients.
fn wrapped_otherwise<E>(
    Encryption { rsa, plugins, .. }: &Encryption,
    file_keys: &[&[u8; FILE_KEY]],
    mut wrap: impl FnMut(&[PluginRecipient], &[&[u8; FILE_KEY]]) -> Result<Vec<Vec<u8>>, E>,
) -> Result<Vec<Vec<u8>>, E> {
    if rsa.is_empty() && plugins.is_empty() {
        return Ok(Vec::new());
    }
    let by_rsa = |file_key: &&[u8; FILE_KEY]| {
        let mut out = Vec::new();
        for Rsa { tag, key } in rsa {
            stanza::append(&[ssh::RSA, tag], &ssh::encrypt(key, file_key), &mut out);
        }
        out
    };
    let mut others: Vec<Vec<u8>> = file_keys.iter().map(by_rsa).collect();
    for recipients in plugins {
        let wrapped = wrap(recipients, file_keys)?;
        assert_eq!(wrapped.len(), file_keys.len(), "each file has its stanzas");
        for (stanzas, out) in wrapped.iter().zip(&mut others) {
            let most = recipients.len() * MAX_PLUGIN_STANZAS;
            assert!(stanzas.len() <= most, "they are no longer than that");
            out.extend_from_slice(stanzas);
        }
    }
    Ok(others)
}

fn agree_one_by_one(
    peer: &[u8; POINT],
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
        let point = UnparsedPublicKey::new(&X25519, peer);
        // Where aws-lc finds a shared secret of zeros it is an error (RFC 7748, 6.1).
        let agreed = agree(&secret, point, Unspecified, |octets| {
            shared.copy_from_slice(octets);
            Ok(())
        });
        agreed.expect("a recipient of low order is none");
    }
}

/// 32 octets in base64, and the end of the line.
fn append_base64(octets: &[u8; 32], out: &mut Vec<u8>) {
    BASE64.encode_append(octets, out);
    out.push(b'\n');
}
