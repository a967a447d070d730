//! Curve25519 in eight lanes of AVX-512 IFMA: X25519 (RFC 7748) of many fresh secrets with a point that stays.
//!
//! A secret's public key and what it has in common with a recipient are both multiples of fixed points. They are made by
//! combs on the birational edwards25519, whose addition is complete, so that no secret is an exception ([`table`]); a
//! group's quotients by one inversion. One source of the arithmetic (`field`, `edwards`, `comb`) is compiled for words of
//! eight lanes ([`eight`]), and in the tests for words that show that no limb ever overflows (`checked`).
//!
//! What is made is proven before anybody gets it: every quotient by its product, and the points of a group by their sum,
//! which must be that of aws-lc for the sum of the secrets ([`proof`]).
//!
//! No branch and no address depends on a secret. Secrets, and all that was worked with, are zeroized; combs are public.

#![cfg_attr(
    test,
    expect(
        clippy::duplicate_mod,
        reason = "the same arithmetic is compiled for each kind of words"
    )
)]
#![expect(
    clippy::many_single_char_names,
    clippy::needless_range_loop,
    reason = "formulas have the names that papers give them, and limbs their places"
)]

#[cfg(test)]
mod checked;
#[cfg(target_arch = "x86_64")]
mod eight;
/// Other processors have no eight lanes, and nobody has a comb.
#[cfg(not(target_arch = "x86_64"))]
mod eight {
    use super::table::Window;

    pub const GROUP: usize = 256;
    pub const LANES: usize = 8;
    pub type Made = (Vec<Window>, [[u64; 5]; 4]);
    pub type Read<'a> = (&'a [Window], &'a [[u64; 5]; 4]);

    pub fn is_here() -> bool {
        false
    }

    pub fn comb(_: &[u8; 32]) -> Option<Made> {
        None
    }

    pub fn multiply(
        _: [Read<'_>; 2],
        _: &[[u8; 32]],
        _: [&mut [[u8; 32]]; 2],
        _: &mut [[u8; 32]; 2],
    ) -> bool {
        false
    }
}
mod proof;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use self::proof::Total;
use self::table::Comb;

/// The u of the base point (RFC 7748, 4.1).
const BASE: [u8; 32] = {
    let mut base = [0; 32];
    base[0] = 9;
    base
};

/// Secrets from which on it is worthwhile: fewer are multiplied sooner one after the other by aws-lc.
pub const WORTHWHILE: usize = 8;

/// Whoever has the other half of a point, for whom many secrets are multiplied.
pub struct Peer(Comb);

impl Peer {
    /// By the point's u. `None` where this processor has no eight lanes, or the point is on the twist, or of small order:
    /// then it is another library's.
    #[must_use]
    pub fn new(point: &[u8; 32]) -> Option<Self> {
        eight::is_here().then(|| comb(point)).flatten().map(Self)
    }

    /// The public key of each secret, and what it has in common with the peer. False when there is no such thing that is
    /// proven; then nothing is to be used.
    ///
    /// # Panics
    ///
    /// When there are not as many places as secrets.
    #[must_use]
    pub fn agree(
        &self,
        secrets: &[[u8; 32]],
        public_keys: &mut [[u8; 32]],
        shared_secrets: &mut [[u8; 32]],
    ) -> bool {
        let lengths = [public_keys.len(), shared_secrets.len()];
        assert_eq!(lengths, [secrets.len(); 2], "each secret has its places");
        let places = public_keys
            .chunks_mut(eight::GROUP)
            .zip(shared_secrets.chunks_mut(eight::GROUP));
        secrets
            .chunks(eight::GROUP)
            .zip(places)
            .all(|(secrets, (public_keys, shared_secrets))| {
                agree_group(&self.0, secrets, public_keys, shared_secrets)
            })
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

#[inline(never)]
fn agree_group(
    peer: &Comb,
    secrets: &[[u8; 32]],
    public_keys: &mut [[u8; 32]],
    shared_secrets: &mut [[u8; 32]],
) -> bool {
    let Some(base) = base() else { return false };
    let mut sums = Zeroizing::new([[0; 32]; 2]);
    let combs = [base, peer].map(|comb| (&comb.windows[..], &comb.start));
    if !eight::multiply(combs, secrets, [public_keys, shared_secrets], &mut sums) {
        return false;
    }
    let total = Total::of(secrets, eight::LANES);
    let is_proven = total.is(&sums[0], &peer.point, &sums[1]);
    // RFC 7748, 6.1. There are none with such a peer.
    is_proven && shared_secrets.iter().all(|shared| !is_nothing(shared))
}

/// Whether all octets are zeros.
fn is_nothing(octets: &[u8; 32]) -> bool {
    octets.iter().fold(0, |any, octet| any | octet) == 0
}

fn comb(point: &[u8; 32]) -> Option<Comb> {
    let (windows, start) = eight::comb(point)?;
    Some(Comb {
        windows,
        start,
        point: *point,
    })
}

/// The comb of the base point, made when it is first asked for.
fn base() -> Option<&'static Comb> {
    static BASE_COMB: OnceLock<Option<Comb>> = OnceLock::new();
    BASE_COMB.get_or_init(|| comb(&BASE)).as_ref()
}
