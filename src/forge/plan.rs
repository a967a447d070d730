//! The plan of a batch: profile, issuer and engine compiled into what a worker needs.
//!
//! Invariant: a specimen certificate of the plan has passed the lint in full.

use super::check::Longest;
use super::distinct::Keys;
use super::encrypting::Shares;
use super::signing::Signing;
use super::{ForgeError, Job};
use crate::batch::Layout;
use crate::bundle::Bundler;
use crate::certificate::{
    CertificateSerial, Expected, Fields, Linted, SerialPrefix, Stamp, encode_san, encode_subject,
};
use crate::engine::{DeviceKey, KeyMaker, Random};
use crate::issuer::{Issuer, key_identifier};
use crate::manifest::{Manifest, Row};
use crate::profile::{Binding, KeyType, Period};

/// Everything that the chunks of a batch share.
pub(crate) struct Plan<'a> {
    pub manifest: &'a Manifest,
    pub binding: Binding,
    pub key_type: KeyType,
    pub key_maker: &'static dyn KeyMaker,
    pub issuer: &'a Issuer,
    pub(super) signing: Signing,
    pub stamp: Stamp,
    pub bundler: Bundler,
    /// For whom bundles are encrypted; `None`: they are not.
    pub(super) shares: Option<Shares>,
    pub layout: Layout,
    pub period: Period,
    /// The keys that were made so far, of which none may come again.
    pub keys: Keys,
    /// Octets that a bundle takes at most.
    pub bundle_room: usize,
}

/// The headers of a certificate and of its signature.
const ROOM_FOR_HEADERS: usize = 64;

/// By how much the headers of a name grow at most, when it is longer: two octets in each of three.
const ROOM_FOR_A_NAME: usize = 6;

/// The headers that a pack has for a bundle, with a device id of up to 128 characters in each.
const ROOM_IN_A_PACK: usize = 30 + 46 + 2 * 136;

impl<'a> Plan<'a> {
    pub(crate) fn new(job: &Job<'a>) -> Result<Self, ForgeError> {
        let Job {
            manifest,
            profile,
            issuer,
            now,
            ref engines,
            ..
        } = *job;
        let key_maker = engines.for_keys(profile.key_type())?;
        let period = profile.validity().period(now, issuer.certificate().period())?;
        Ok(Self {
            manifest,
            binding: Binding::new(profile, manifest.header(), manifest.path())?,
            key_type: profile.key_type(),
            key_maker,
            stamp: Stamp::new(
                issuer.certificate(),
                profile.key_type(),
                issuer.algorithm(),
                period,
            ),
            signing: Signing::new(issuer.manner()),
            issuer,
            bundler: Bundler::new(profile.recipe(), profile.shared(issuer.certificate().der()))?,
            shares: Shares::new(profile.recipients())?,
            layout: job.delivered(),
            period,
            keys: Keys::default(),
            bundle_room: 0,
        })
    }

    /// Lints a certificate that is never signed, for the first row and a key that is thrown away, and
    /// measures the bundles that there will be, in which nothing has more octets than in `longest`.
    pub(crate) fn lint_specimen(&mut self, row: &Row, longest: &Longest) -> Result<(), ForgeError> {
        let mut keys = [DeviceKey::default()];
        self.key_maker.make_keys(self.key_type, &mut keys)?;
        let serial: CertificateSerial = SerialPrefix::draw(Random)?.serial([0; 8]);
        let (mut scratch, mut subject, mut san) = (Vec::new(), Vec::new(), Vec::new());
        encode_subject(self.binding.subject(row), &mut scratch, &mut subject);
        encode_san(self.binding.san(row), &mut scratch, &mut san);
        let fields = Fields {
            serial: &serial,
            subject: &subject,
            san: &san,
            public_key: keys[0].public_key(),
            key_id: &key_identifier(keys[0].public_key()),
        };
        let expected = Expected {
            issuer: self.issuer.certificate(),
            key_type: self.key_type,
            signature: self.issuer.algorithm(),
            period: self.period,
            has_san: self.binding.has_san(),
        };
        let mut block = Linted::default();
        let stamped = block.stamp(&self.stamp, &fields);
        let tbs_len = stamped.tbs().len();
        stamped.lint_in_full(&expected)?;
        // RSA keys of one size differ by a few octets.
        let private_key = keys[0].pkcs8().len() + 32;
        let names: Vec<usize> = self.binding.names(row).map(|name| name.len()).collect();
        let longer = longest.names.saturating_sub(names.iter().sum()) + names.len() * ROOM_FOR_A_NAME;
        // A signature is hardly longer than the key that made it.
        let signature = self.issuer.certificate().public_key().len();
        let certificate = tbs_len + longer + signature + ROOM_FOR_HEADERS;
        self.bundler.fits(private_key, certificate, &longest.texts)?;
        let bundle = self.bundler.room(private_key, certificate, &longest.texts);
        let shares = self.shares.as_ref();
        let encrypted = shares.map(|own| own.encryption.encrypted_len(bundle));
        self.bundle_room = encrypted.unwrap_or(bundle) + ROOM_IN_A_PACK;
        Ok(())
    }
}
