//! The bundler: a recipe, ready to be filled for each device of a batch.

use std::ops::Range;

use super::archive::{self, Constant};
use super::beginning::Beginning;
use super::drawn::Drawn;
use super::format::{Ending, Sizes, Source};
use super::recipe::{Compression, Member, Recipe, RecipeError};
use super::{Credential, Shared};

/// A recipe, ready to be filled for each device of a batch.
#[derive(Debug)]
pub struct Bundler {
    pub(super) beginning: Beginning,
    /// The files that differ from device to device.
    pub(super) members: Vec<Own>,
    shared: Shared,
    issuer_pem: Vec<u8>,
    /// The secrets that are drawn for each device, and how many random octets these and the files take.
    pub(super) drawn: Vec<Drawn>,
    pub(super) random: usize,
    /// Whether a bundle is its one file itself.
    pub(super) is_file: bool,
}

/// A file that differs from device to device.
#[derive(Debug)]
pub(super) struct Own {
    pub member: Member,
    /// Which of the device's texts are its own, and which of its random octets.
    texts: Range<usize>,
    random: Range<usize>,
    pub is_named_by_device: bool,
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

    /// The files that end with what follows from a SHA-256, and how.
    pub(super) fn endings(&self) -> impl Iterator<Item = (&Own, Ending)> {
        let with_ending = |own| Some((own, Own::ending(own)?));
        self.members.iter().filter_map(with_ending)
    }

    /// The random octets of a device, where those of the first one begin here.
    pub(super) fn random_of<'a>(&self, random: &'a [u8], from: usize, number: usize) -> &'a [u8] {
        &random[from + number * self.random..][..self.random]
    }

    /// What the files of a device are filled from, but for what is each file's own.
    pub(super) fn source<'a>(
        &'a self,
        credential: &'a Credential<'a>,
        pem: &'a [u8],
        random: &'a [u8],
    ) -> Source<'a> {
        let mut source = self.shared.source(credential, (pem, &self.issuer_pem));
        let mut start = 0;
        for drawn in &self.drawn {
            source.secrets.set(*drawn, &random[start..start + drawn.octets()]);
            start += drawn.octets();
        }
        source
    }
}

impl Own {
    pub(super) fn ending(&self) -> Option<Ending> {
        self.member.format().ending()
    }

    /// The same for this file.
    pub(super) fn source<'a>(
        &self,
        of_device: &Source<'a>,
        credential: &'a Credential<'a>,
        random: &'a [u8],
    ) -> Source<'a> {
        Source {
            texts: &credential.texts[self.texts.clone()],
            random: &random[self.random.clone()],
            ..*of_device
        }
    }
}
