//! multi-buffer: P-256 and P-384, eight at a time, by Intel's crypto_mb.
//!
//! The library that somebody has named is loaded at run time, once, when the engine is first asked for; it is
//! never needed to build, and never searched for. It is used only after [`self_test`] has passed, and goes on being checked:
//! every point is held against its curve's equation, every signature against the one that it solves, and one key
//! and one signature in each [`GROUP`] against aws-lc, every time in another place.
//!
//! The library multiplies points, which is nearly all of the work. What its own functions would divide for every
//! eight, [`field`] divides for a whole group.
//!
//! Private keys and nonces come straight from the operating system, a group at a time, and are zeroized.

mod curve;
mod encode;
mod field;
mod foreign;
mod group;
mod locate;
mod self_test;
mod signer;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::{Zeroize, Zeroizing};

pub(crate) use self::curve::{Curve, GROUP, Number};
pub(crate) use self::foreign::{CryptoMb, LANES, Octets};
use self::group::public_keys;
use self::signer::MultiBufferSigner;
use super::key::Secret;
use super::{DeviceKey, Engine, EngineError, KeyMaker, KeySigner, PrivateKey, Random, SigningKey};
use crate::exposure::Exposure;
use crate::profile::KeyType;

/// The engine on crypto_mb.
#[derive(Debug, Clone, Copy)]
pub struct MultiBuffer;

const NAME: &str = "multi-buffer";

/// The library, or its folder, that somebody gave.
static GIVEN: OnceLock<PathBuf> = OnceLock::new();

impl MultiBuffer {
    /// Takes the library from this file or folder, whatever the environment says. Only what is given first, and before
    /// anybody asks for the engine, counts.
    pub fn give_library(path: PathBuf) {
        let _ = GIVEN.set(path);
    }

    /// The library and its version; only its name where it cannot be used.
    #[must_use]
    pub fn library() -> String {
        library().map_or_else(
            |_| locate::LIBRARY.to_owned(),
            |library| library.version().to_owned(),
        )
    }
}

/// Why crypto_mb cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("this processor has no AVX-512 IFMA")]
    Processor,
    #[error("{} is empty, which rules it out", locate::VARIABLE)]
    Off,
    #[error("nobody has named the library")]
    NotNamed,
    #[error("there is no {path}")]
    Missing { path: PathBuf },
    #[error("{path} {exposure}")]
    Exposed { path: PathBuf, exposure: Exposure },
    #[error("{path} cannot be loaded: {reason}")]
    Unloadable { path: PathBuf, reason: String },
    #[error("{path} is of another version: {found}")]
    Version { path: PathBuf, found: String },
    #[error("{path} does not serve this processor")]
    NotApplicable { path: PathBuf },
    #[error("{path} fails its test: {what}")]
    Unsound { path: PathBuf, what: &'static str },
}

impl Unavailable {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Processor | Self::NotApplicable { .. } => {
                "--engine auto takes the fastest engine that can".to_owned()
            }
            Self::Off => format!(
                "unset it, or let it name {} or its folder; --engine auto does without",
                locate::LIBRARY
            ),
            Self::NotNamed | Self::Missing { .. } | Self::Version { .. } => format!(
                "`pip install ipp-crypto intel-cmplr-lib-rt` brings it; --crypto-mb or {} names the file or its \
                 folder; --engine auto does without",
                locate::VARIABLE
            ),
            Self::Exposed { path, exposure } => {
                format!("it would see every private key: {}", exposure.hint(path))
            }
            Self::Unloadable { .. } => "it needs OpenSSL 3 (libcrypto.so.3) and, beside it, what \
                 `pip install intel-cmplr-lib-rt` brings; --engine auto does without"
                .to_owned(),
            Self::Unsound { .. } => "use none of what it makes; --engine auto does without".to_owned(),
        }
    }
}

/// The library, loaded and tested when first asked for.
pub(crate) fn library() -> Result<&'static CryptoMb, EngineError> {
    static LIBRARY: OnceLock<Result<CryptoMb, Unavailable>> = OnceLock::new();
    LIBRARY
        .get_or_init(load)
        .as_ref()
        .map_err(|reason| EngineError::Unavailable {
            engine: NAME,
            reason: reason.clone(),
        })
}

fn load() -> Result<CryptoMb, Unavailable> {
    if !processor_can() {
        return Err(Unavailable::Processor);
    }
    let given = GIVEN.get().map(|path| path.clone().into());
    let path = locate::find(given.or_else(|| std::env::var_os(locate::VARIABLE)))?;
    let library = CryptoMb::load(&path)?;
    match self_test::pass(&library) {
        Ok(()) => Ok(library),
        Err(what) => Err(Unavailable::Unsound { path, what }),
    }
}

/// The library has slower code for other processors, which nobody has measured here.
fn processor_can() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512ifma");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

impl KeyMaker for MultiBuffer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn makes(&self, key_type: KeyType) -> bool {
        Curve::of(key_type).is_some()
    }

    fn make_keys(&self, key_type: KeyType, keys: &mut [DeviceKey]) -> Result<(), EngineError> {
        let curve = Curve::of(key_type).ok_or(EngineError::NoKeys {
            engine: NAME,
            key_type,
        })?;
        let library = library()?;
        let made = keys
            .chunks_mut(GROUP)
            .try_for_each(|group| make_group(library, curve, group));
        if made.is_err() {
            keys.iter_mut().for_each(Zeroize::zeroize);
        }
        made
    }
}

impl Engine for MultiBuffer {
    fn ready(&self) -> Result<(), EngineError> {
        library().map(|_| ())
    }

    fn signs(&self, key_type: KeyType) -> bool {
        Curve::of(key_type).is_some()
    }

    fn signer(&self, key: &SigningKey) -> Result<Box<dyn KeySigner>, EngineError> {
        let key_type = key.key_type();
        match (key.secret(), Curve::of(key_type)) {
            (Secret::Ec { scalar, public_key }, Some(curve)) => Ok(Box::new(MultiBufferSigner::new(
                library()?,
                curve,
                scalar,
                public_key,
            ))),
            _ => Err(EngineError::NoSignatures {
                engine: NAME,
                key_type,
            }),
        }
    }
}

/// Makes [`GROUP`] keys at most.
fn make_group(library: &CryptoMb, curve: Curve, keys: &mut [DeviceKey]) -> Result<(), EngineError> {
    // In a lane that is not needed the scalar stays 1, which is nobody's secret.
    let mut scalars = Zeroizing::new([Number::ONE; GROUP]);
    draw(curve, &mut scalars[..keys.len()])?;
    let (mut x, mut y) = ([Number::default(); GROUP], [Number::default(); GROUP]);
    public_keys(library, curve, &scalars, keys.len(), &mut x, &mut y)?;
    for (key, (scalar, (x, y))) in keys.iter_mut().zip(scalars.iter().zip(x.iter().zip(&y))) {
        encode::key(curve, scalar, x, y, key);
    }
    check_one(keys)
}

/// Holds one of a group's keys against aws-lc, which reads it and makes its public key anew.
fn check_one(keys: &[DeviceKey]) -> Result<(), EngineError> {
    static TURN: Turn = Turn::new();
    let key = &keys[TURN.next(keys.len())];
    let private = PrivateKey::from_pkcs8(key.pkcs8()).ok();
    match private.and_then(|private| private.prove(key.public_key())) {
        Some(_) => Ok(()),
        None => Err(failed("make keys that another library agrees with")),
    }
}

/// Draws a group's scalars.
pub(crate) fn draw(curve: Curve, scalars: &mut [Number]) -> Result<(), EngineError> {
    curve.draw(scalars, |octets| Random.fill(octets))
}

/// Whose turn it is to be checked: as groups go by, each place in them.
struct Turn(AtomicUsize);

impl Turn {
    const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// A place in a group of so many.
    fn next(&self, len: usize) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed) % len
    }
}

fn failed(operation: &'static str) -> EngineError {
    EngineError::Failed {
        engine: NAME,
        operation,
    }
}

/// The library, for tests; without it they say so and are left out.
#[cfg(test)]
fn for_tests() -> Option<&'static CryptoMb> {
    match library() {
        Ok(library) => Some(library),
        Err(error) => {
            let reason = std::error::Error::source(&error).expect("there is a reason");
            eprintln!("LEFT OUT: {error}: {reason}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::foreign::Fault;
    use super::*;

    const CURVES: [Curve; 2] = [Curve::P256, Curve::P384];

    /// A public key as ring or aws-lc have it, of a scalar.
    fn agrees(curve: Curve, scalar: &Number, x: &Number, y: &Number) -> bool {
        let mut key = DeviceKey::default();
        encode::key(curve, scalar, x, y, &mut key);
        let private = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
        private.prove(key.public_key()).is_some()
    }

    #[test]
    fn every_lane_makes_the_keys_at_both_ends_of_the_range() {
        let Some(library) = for_tests() else { return };
        for curve in CURVES {
            let last = curve.order().minus(&Number::ONE);
            let two = Number([2, 0, 0, 0, 0, 0, 0, 0]);
            for edge in [Number::ONE, two, last, last.minus(&Number::ONE)] {
                for lane in 0..LANES {
                    let mut scalars = [Number::ONE; GROUP];
                    draw(curve, &mut scalars).unwrap();
                    scalars[lane] = edge;
                    let (mut x, mut y) = ([Number::default(); GROUP], [Number::default(); GROUP]);
                    public_keys(library, curve, &scalars, LANES, &mut x, &mut y).unwrap();
                    for i in 0..LANES {
                        assert!(agrees(curve, &scalars[i], &x[i], &y[i]), "{curve:?}, lane {i}");
                    }
                    // The check itself can fail.
                    let other = (lane + 1) % LANES;
                    assert!(!agrees(curve, &scalars[lane], &x[other], &y[other]));
                }
            }
        }
    }

    #[test]
    fn what_is_no_scalar_makes_no_key_in_any_lane() {
        let Some(library) = for_tests() else { return };
        for curve in CURVES {
            for bad in [
                Number::default(),
                *curve.order(),
                Number::from_octets(&[0xff; 48]),
            ] {
                for lane in 0..LANES {
                    let mut scalars = [Number::ONE; LANES];
                    scalars[lane] = bad;
                    let (mut x, mut y) = ([Number::default(); LANES], [Number::default(); LANES]);
                    let made = library.public_keys(curve, &scalars, &mut x, &mut y);
                    assert_eq!(made, Err(Fault::Scalar { lane }));
                    assert!(x == [Number::default(); LANES]);
                }
            }
        }
    }

    #[test]
    fn batches_of_every_size_are_made_in_full_and_keep_to_themselves() {
        if for_tests().is_none() {
            return;
        }
        for curve in CURVES {
            let key_type = curve.key_type();
            let mut seen = BTreeSet::new();
            for size in (0..=17).chain([63, 64, 65, 130]) {
                let mut keys = vec![DeviceKey::default(); size];
                MultiBuffer.make_keys(key_type, &mut keys).unwrap();
                for key in &keys {
                    let private = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
                    assert!(private.prove(key.public_key()).is_some(), "{size} keys");
                    assert!(seen.insert(key.public_key().to_vec()), "keys are distinct");
                }
            }
        }
    }

    #[test]
    fn a_key_that_another_library_disagrees_with_is_found() {
        let mut keys = [DeviceKey::default(), DeviceKey::default()];
        super::super::AwsLc.make_keys(KeyType::P256, &mut keys).unwrap();
        assert!(check_one(&keys[..1]).is_ok());
        let [first, second] = keys;
        let mut mixed = DeviceKey::default();
        mixed.set(first.pkcs8(), second.public_key());
        assert!(check_one(&[mixed]).is_err());
    }

    #[test]
    fn every_place_has_its_turn() {
        let turn = Turn::new();
        let places: BTreeSet<_> = (0..64).map(|_| turn.next(64)).collect();
        assert_eq!(places.len(), 64);
        assert_eq!(turn.next(1), 0);
    }
}
