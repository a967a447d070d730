//! The writer: a worker's own, which fills a recipe for one device after the other, and what is sooner made together for several.

use std::borrow::Cow;
use std::ops::Range;

use zeroize::{Zeroize, Zeroizing};

use super::Credential;
use super::archive::Deflater;
use super::bundler::{Bundler, Own};
use super::format::Ending;
use super::recipe::Compression;
use crate::digest::BegunMany;
use crate::pem;

/// Devices whose bundles are best made together: so few that what is made of them stays near the processor.
pub const TOGETHER: usize = 24;

/// Octets that lie one behind the other, by where each ends.
#[derive(Default)]
struct Lengthwise {
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Lengthwise {
    fn clear(&mut self) {
        self.octets.clear();
        self.ends.clear();
    }

    /// Takes what was appended to the octets as one.
    fn end(&mut self) {
        self.ends.push(self.octets.len());
    }

    fn range(&self, number: usize) -> Range<usize> {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[number]
    }

    fn of(&self, number: usize) -> &[u8] {
        &self.octets[self.range(number)]
    }
}

/// Appends bundles to buffers, with scratch of its own.
pub struct BundleWriter<'a> {
    bundler: &'a Bundler,
    directory: Vec<u8>,
    /// The certificates of the devices at hand, as PEM.
    certificates: Lengthwise,
    /// Those files of theirs that end with what follows from a SHA-256, device after device; and the SHA-256 of each as a whole.
    made: Lengthwise,
    digests: Vec<[u8; 32]>,
    /// Random octets of bundles to come, and how many are used.
    random: Zeroizing<Vec<u8>>,
    used: usize,
    content: Vec<u8>,
    deflater: Deflater,
}

impl Bundler {
    /// A writer of this batch's bundles.
    #[must_use]
    pub fn writer(&self) -> BundleWriter<'_> {
        BundleWriter {
            bundler: self,
            directory: Vec::new(),
            certificates: Lengthwise::default(),
            made: Lengthwise::default(),
            digests: Vec::new(),
            random: Zeroizing::new(Vec::new()),
            used: 0,
            content: Vec::new(),
            deflater: Deflater::default(),
        }
    }
}

impl<'a> BundleWriter<'a> {
    /// Draws what so many bundles need of chance: `fill` fills octets with it. As a rule they need nothing.
    ///
    /// # Errors
    ///
    /// When there are no random octets.
    pub fn draw<E>(
        &mut self,
        bundles: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let each = self.bundler.random;
        if each == 0 {
            return Ok(());
        }
        self.random.zeroize();
        self.used = 0;
        self.random.resize(bundles * each, 0);
        fill(&mut self.random)?;
        for octets in self.random.chunks_exact_mut(each) {
            let mut rest = octets;
            for drawn in &self.bundler.drawn {
                let (own, others) = rest.split_at_mut(drawn.octets());
                drawn.shape(own);
                rest = others;
            }
        }
        Ok(())
    }

    /// Appends the bundle of one device.
    ///
    /// # Panics
    ///
    /// When bundles need of chance what was not drawn for this one.
    pub fn append(&mut self, credential: &Credential<'_>, out: &mut Vec<u8>) {
        self.together(std::slice::from_ref(credential)).append(0, out);
    }

    /// Takes the next devices, some [`TOGETHER`], and makes what of their bundles is made sooner together.
    ///
    /// # Panics
    ///
    /// When bundles need of chance what was not drawn for these.
    pub fn together<'b>(&'b mut self, credentials: &'b [Credential<'b>]) -> Together<'b, 'a> {
        let from = self.used;
        self.used += credentials.len() * self.bundler.random;
        assert!(self.used <= self.random.len(), "chance was drawn for each bundle");
        self.certificates.clear();
        for credential in credentials {
            pem::append_certificate(credential.certificate, &mut self.certificates.octets);
            self.certificates.end();
        }
        self.make(credentials, from);
        Together {
            writer: self,
            credentials,
            from,
        }
    }

    /// Makes the files that end with what follows from the SHA-256 of all before: side by side, and it is gone on with to
    /// that of the whole file.
    fn make(&mut self, credentials: &[Credential<'_>], from: usize) {
        let bundler = self.bundler;
        let made = &mut self.made;
        made.clear();
        self.digests.clear();
        let endings: Vec<(&Own, Ending)> = bundler.endings().collect();
        if endings.is_empty() {
            return;
        }
        // Enough, so that a buffer with private keys never moves.
        let room: usize = endings.iter().map(|(own, _)| own.member.most()).sum();
        if made.octets.capacity() < room * credentials.len() {
            made.octets.zeroize();
            made.octets = Vec::with_capacity(room * credentials.len());
        }
        for (i, credential) in credentials.iter().enumerate() {
            let random = bundler.random_of(&self.random, from, i);
            let source = bundler.source(credential, self.certificates.of(i), random);
            for (own, ending) in &endings {
                let source = own.source(&source, credential, random);
                own.member.append_beginning(&source, &mut made.octets);
                let end = made.octets.len() + ending.octets;
                made.octets.resize(end, 0);
                made.end();
            }
        }
        let count = made.ends.len();
        let mut digests = vec![[0; 32]; count];
        let ending = |number: usize| &endings[number % endings.len()].1;
        let begun = {
            let beginning = |number: usize| {
                let file = made.of(number);
                &file[..file.len() - ending(number).octets]
            };
            let beginnings: Vec<&[u8]> = (0..count).map(beginning).collect();
            let begun = BegunMany::new(&beginnings);
            begun.sha256_many(&beginnings, &mut digests);
            begun
        };
        for (number, digest) in digests.iter().enumerate() {
            let Range { end, .. } = made.range(number);
            let Ending { octets, fill } = ending(number);
            fill(digest, &mut made.octets[end - octets..end]);
        }
        if bundler.is_file {
            let files: Vec<&[u8]> = (0..count).map(|number| made.of(number)).collect();
            begun.sha256_many(&files, &mut digests);
            self.digests = digests;
        }
    }
}

/// Devices whose bundles are made together.
pub struct Together<'b, 'a> {
    writer: &'b mut BundleWriter<'a>,
    credentials: &'b [Credential<'b>],
    /// Where the random octets of the first one begin.
    from: usize,
}

impl Together<'_, '_> {
    /// The SHA-256 of the bundles, where it is known already.
    #[must_use]
    pub fn digests(&self) -> Option<&[[u8; 32]]> {
        let digests = self.writer.digests.as_slice();
        (!digests.is_empty()).then_some(digests)
    }

    /// The certificate of a device, as PEM.
    #[must_use]
    pub fn certificate_pem(&self, number: usize) -> &[u8] {
        self.writer.certificates.of(number)
    }

    /// Appends the bundle of a device.
    pub fn append(&mut self, number: usize, out: &mut Vec<u8>) {
        let credential = &self.credentials[number];
        let writer = &mut *self.writer;
        let bundler = writer.bundler;
        let random = bundler.random_of(&writer.random, self.from, number);
        let source = bundler.source(credential, writer.certificates.of(number), random);
        let mut made = number * bundler.endings().count();
        let mut append = |own: &Own, out: &mut Vec<u8>| {
            if own.ending().is_none() {
                own.member.append(&own.source(&source, credential, random), out);
                return;
            }
            out.extend_from_slice(writer.made.of(made));
            made += 1;
        };
        if let [own] = bundler.members.as_slice()
            && bundler.is_file
        {
            append(own, out);
            return;
        }
        let mut archive = bundler.beginning.archive(out, &mut writer.directory);
        for own in &bundler.members {
            let member = &own.member;
            let name = match own.is_named_by_device {
                false => Cow::Borrowed(member.name()),
                true => member.name_for(credential.device_id),
            };
            let (name, mode) = (&*name, member.mode());
            match member.compression() {
                Compression::Stored => {
                    archive.stored(name, mode, |out| append(own, out));
                }
                Compression::Deflated => {
                    writer.content.zeroize();
                    append(own, &mut writer.content);
                    archive.deflated(name, mode, &writer.content, &mut writer.deflater);
                }
            }
        }
        archive.finish();
    }
}

impl Drop for BundleWriter<'_> {
    fn drop(&mut self) {
        self.content.zeroize();
        self.made.octets.zeroize();
    }
}
