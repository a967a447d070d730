//! Whether files hold what the rows of a manifest give, as far as that is known before there is a key or a certificate.

use super::ForgeError;
use crate::bundle::Bundler;
use crate::issuer::CaCertificate;
use crate::profile::{KeyType, Profile};

/// Octets that a certificate has at least.
const LEAST_CERTIFICATE: usize = 256;

/// Judges whether each file holds the texts of all rows, of which none has more octets than in `longest`, beside keys and
/// certificates that are as short as they can be. [`super::run`] judges again, with those that there will be.
///
/// # Errors
///
/// The first file that does not.
pub fn fits(profile: &Profile, issuer: Option<&CaCertificate>, longest: &[usize]) -> Result<(), ForgeError> {
    let issuer = issuer.map_or(&[][..], CaCertificate::der);
    let bundler = Bundler::new(profile.recipe(), profile.shared(issuer))?;
    let key = least_key(profile.key_type());
    Ok(bundler.fits(key, LEAST_CERTIFICATE, longest)?)
}

/// Octets of a PKCS#8 at least: what its numbers have.
fn least_key(key_type: KeyType) -> usize {
    match key_type {
        KeyType::P256 => 3 * 32,
        KeyType::P384 => 3 * 48,
        KeyType::P521 => 3 * 66,
        // Modulus and exponent, and five numbers of half their length.
        rsa => rsa.rsa_bits().map_or(0, |bits| bits / 8 * 9 / 2),
    }
}
