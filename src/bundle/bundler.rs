//! The bundler: a recipe, ready to be filled for each device of a batch, and the writers that fill it.

use std::borrow::Cow;
use std::ops::Range;

use zeroize::{Zeroize, Zeroizing};

use super::archive::{self, Constant, Deflater};
use super::beginning::Beginning;
use super::drawn::Drawn;
use super::format::Sizes;
use super::recipe::{Compression, Member, Recipe, RecipeError};
use super::{Credential, Shared};
use crate::pem;

/// A recipe, ready to be filled for each device of a batch.
#[derive(Debug)]
pub struct Bundler {
    beginning: Beginning,
    /// The files that differ from device to device.
    members: Vec<Own>,
    shared: Shared,
    issuer_pem: Vec<u8>,
    /// The secrets that are drawn for each device, and how many random octets these and the files take.
    drawn: Vec<Drawn>,
    random: usize,
    /// Whether a bundle is its one file itself.
    is_file: bool,
}

/// A file that differs from device to device.
#[derive(Debug)]
struct Own {
    member: Member,
    /// Which of the device's texts are its own, and which of its random octets.
    texts: Range<usize>,
    random: Range<usize>,
    is_named_by_device: bool,
}

/// Of each file, and of the end of an archive: headers of fixed size, and a name twice.
const ROOM_FOR_HEADERS: usize = 30 + 46 + 2 * 64;

impl Bundler {
    /// # Errors
    ///
    /// When the recipe has a file of the user's own that nobody has read.
    pub fn new(recipe: &Recipe, shared: Shared) -> Result<Self, RecipeError> {
        recipe.check_files()?;
        let mut constants = Vec::new();
        let mut members = Vec::new();
        let drawn = recipe.drawn();
        let mut random = drawn.iter().map(|drawn| drawn.octets()).sum();
        for member in recipe.members() {
            match shared.constant(member) {
                None => {
                    let start = random;
                    random += member.format().random_octets();
                    members.push(Own {
                        member: member.clone(),
                        texts: recipe.texts_of(member.name()),
                        random: start..random,
                        is_named_by_device: member.is_named_by_device(),
                    });
                }
                Some(content) => constants.push((
                    member.name(),
                    match member.compression() {
                        Compression::Stored => Constant::stored(&content),
                        Compression::Deflated => Constant::deflated(&content),
                    },
                )),
            }
        }
        Ok(Self {
            beginning: Beginning::new(&constants, 0o644),
            members,
            issuer_pem: shared.issuer_pem(),
            shared,
            drawn,
            random,
            is_file: recipe.is_file(),
        })
    }

    /// Octets that a bundle has at most, when private keys and certificates have no more than these as DER, and
    /// names of things and clients no more than their 128 characters, and texts no more than these octets, each in its place.
    #[must_use]
    pub fn room(&self, private_key: usize, certificate: usize, longest: &[usize]) -> usize {
        let mut own = 0;
        self.with_sizes((private_key, certificate), longest, |member, sizes| {
            let content = member.room(sizes);
            own += ROOM_FOR_HEADERS + content + archive::deflating_adds(content);
        });
        self.beginning.len() + own + ROOM_FOR_HEADERS
    }

    /// Judges whether each file holds whatever a device gives within such bounds.
    ///
    /// # Errors
    ///
    /// The first file that may not.
    pub fn fits(&self, private_key: usize, certificate: usize, longest: &[usize]) -> Result<(), RecipeError> {
        let mut fits = Ok(());
        self.with_sizes((private_key, certificate), longest, |member, sizes| {
            if fits.is_ok() {
                fits = member.fits(sizes);
            }
        });
        fits
    }

    /// Shows each file that differs from device to device, and the sizes of what it is filled with.
    fn with_sizes(
        &self,
        (private_key, certificate): (usize, usize),
        longest: &[usize],
        mut each: impl FnMut(&Member, &Sizes<'_>),
    ) {
        let mut endpoint = Vec::new();
        let longest_name = "x".repeat(128);
        let credential = Credential {
            thing_name: &longest_name,
            client_id: &longest_name,
            ..Credential::NONE
        };
        let source = self.shared.source(&credential, (&[], &[]));
        source.endpoint().append(&mut endpoint);
        for own in &self.members {
            let sizes = Sizes {
                private_key,
                certificate,
                issuer: self.shared.issuer.len(),
                endpoint: endpoint.len(),
                texts: &longest[own.texts.clone()],
            };
            each(&own.member, &sizes);
        }
    }

    /// The SHA-256 of bundles of this batch, each in the place of the same number.
    ///
    /// # Panics
    ///
    /// When there are not as many places as bundles.
    pub fn sha256_many(&self, bundles: &[&[u8]], digests: &mut [[u8; 32]]) {
        self.beginning.sha256_many(bundles, digests);
    }

    /// The CRC-32 of a bundle of this batch.
    #[must_use]
    pub fn crc(&self, bundle: &[u8]) -> u32 {
        self.beginning.crc(bundle)
    }

    /// A writer of this batch's bundles.
    #[must_use]
    pub fn writer(&self) -> BundleWriter<'_> {
        BundleWriter {
            bundler: self,
            directory: Vec::new(),
            certificate_pem: Vec::new(),
            random: Zeroizing::new(Vec::new()),
            used: 0,
            content: Vec::new(),
            deflater: Deflater::default(),
        }
    }
}

/// Appends bundles to buffers, with scratch of its own.
pub struct BundleWriter<'a> {
    bundler: &'a Bundler,
    directory: Vec<u8>,
    certificate_pem: Vec<u8>,
    /// Random octets of bundles to come, and how many are used.
    random: Zeroizing<Vec<u8>>,
    used: usize,
    content: Vec<u8>,
    deflater: Deflater,
}

impl BundleWriter<'_> {
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
        let bundler = self.bundler;
        self.certificate_pem.clear();
        pem::append_certificate(credential.certificate, &mut self.certificate_pem);
        let random = &self.random[self.used..self.used + bundler.random];
        self.used += bundler.random;
        let mut source = bundler
            .shared
            .source(credential, (&self.certificate_pem, &bundler.issuer_pem));
        let mut start = 0;
        for drawn in &bundler.drawn {
            source.secrets.set(*drawn, &random[start..start + drawn.octets()]);
            start += drawn.octets();
        }
        if let [own] = bundler.members.as_slice()
            && bundler.is_file
        {
            source.texts = &credential.texts[own.texts.clone()];
            source.random = &random[own.random.clone()];
            own.member.append(&source, out);
            return;
        }
        let mut archive = bundler.beginning.archive(out, &mut self.directory);
        for own in &bundler.members {
            let member = &own.member;
            source.texts = &credential.texts[own.texts.clone()];
            source.random = &random[own.random.clone()];
            let name = match own.is_named_by_device {
                false => Cow::Borrowed(member.name()),
                true => member.name_for(credential.device_id),
            };
            let (name, mode) = (&*name, member.mode());
            match member.compression() {
                Compression::Stored => {
                    archive.stored(name, mode, |out| member.append(&source, out));
                }
                Compression::Deflated => {
                    self.content.zeroize();
                    member.append(&source, &mut self.content);
                    archive.deflated(name, mode, &self.content, &mut self.deflater);
                }
            }
        }
        archive.finish();
    }

    /// The certificate of the bundle appended last, as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &[u8] {
        &self.certificate_pem
    }
}

impl Drop for BundleWriter<'_> {
    fn drop(&mut self) {
        self.content.zeroize();
    }
}
