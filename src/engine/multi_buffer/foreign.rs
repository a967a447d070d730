//! The C interface of crypto_mb, with all of the crate's `unsafe`.
//!
//! What is safe to call from outside is safe whatever is passed: every pointer that reaches the library is
//! to memory of ours that is as large as the longest number it reads or writes, in all eight lanes.

#![expect(
    unsafe_code,
    reason = "a C library is loaded and called, here and nowhere else"
)]

use std::ffi::{CStr, c_char, c_int};
use std::path::Path;
use std::ptr;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::Unavailable;
use super::curve::{Curve, Number};
use super::locate::sound;

/// Operations that the library makes at a time.
pub const LANES: usize = 8;

/// Room for a digest, or for half of a signature: the most significant octet first.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub struct Octets(pub [u8; 64]);

/// The interface that is spoken here: the number in the library's soname, and in its version.
const INTERFACE: &str = "13";

/// What the library needs of Intel's compiler, in an order in which each finds those that it needs.
const RUNTIME: [&str; 4] = ["libintlc.so.5", "libirng.so", "libimf.so", "libsvml.so"];

/// Where Intel's compiler is, when its runtime is not beside the library.
const COMPILER: &str = "/opt/intel/oneapi/compiler/latest/lib";

/// `MBX_ALGO_EC_NIST_P256` and `MBX_ALGO_EC_NIST_P384` of crypto_mb/cpu_features.h.
const ALGORITHMS: [c_int; 2] = [5, 6];

/// `MBX_WIDTH_MB8`.
const WIDTH: u64 = 8;

/// `mbx_nistp256_ecpublic_key_mb8`: x, y and z of the points, the scalars, no scratch buffer.
type PublicKeys =
    unsafe extern "C" fn(*mut *mut u64, *mut *mut u64, *mut *mut u64, *const *const u64, *mut u8) -> u32;

/// `mbx_nistp256_ecdsa_sign_mb8`: r and s, the digests, the nonces, the private keys, no scratch buffer.
type Sign = unsafe extern "C" fn(
    *mut *mut u8,
    *mut *mut u8,
    *const *const u8,
    *const *const u64,
    *const *const u64,
    *mut u8,
) -> u32;

/// `mbxVersion`.
#[repr(C)]
struct Version {
    major: c_int,
    minor: c_int,
    patch: c_int,
    target_cpu: [c_char; 4],
    name: *const c_char,
    build_date: *const c_char,
    text: *const c_char,
}

#[derive(Clone, Copy)]
struct Functions {
    public_keys: PublicKeys,
    sign: Sign,
}

/// The library, loaded.
pub struct CryptoMb {
    version: String,
    p256: Functions,
    p384: Functions,
    /// What the functions are in. Never unloaded while they can be called.
    _libraries: Vec<Library>,
}

/// Why nothing was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The number of this lane is no scalar.
    Scalar { lane: usize },
    /// The library says so of this lane: an `MBX_STATUS`.
    Status { lane: usize, status: u32 },
}

impl CryptoMb {
    /// Loads the library, whose path is absolute, and what it needs.
    pub fn load(path: &Path) -> Result<Self, Unavailable> {
        let mut libraries = Vec::new();
        let folder = path.parent().unwrap_or(Path::new("/"));
        for name in RUNTIME {
            // What is in neither folder is left to the dynamic loader. The library asks for these by the
            // names under which they are loaded then, so it needs no search path, and they no RTLD_GLOBAL.
            let candidates = [folder.join(name), Path::new(COMPILER).join(name)];
            if let Some(runtime) = candidates.iter().find(|path| path.is_file()) {
                sound(runtime)?;
                libraries.push(open(runtime)?);
            }
        }
        let library = open(path)?;
        let loaded = Symbols {
            library: &library,
            path,
        };
        let version = loaded.check_version()?;
        loaded.check_processor()?;
        let functions = |public_keys, sign| -> Result<Functions, Unavailable> {
            Ok(Functions {
                // SAFETY: crypto_mb/ec_nistp256.h and ec_nistp384.h of interface 13 declare them so.
                public_keys: unsafe { loaded.symbol(public_keys) }?,
                // SAFETY: as above.
                sign: unsafe { loaded.symbol(sign) }?,
            })
        };
        let p256 = functions(c"mbx_nistp256_ecpublic_key_mb8", c"mbx_nistp256_ecdsa_sign_mb8")?;
        let p384 = functions(c"mbx_nistp384_ecpublic_key_mb8", c"mbx_nistp384_ecdsa_sign_mb8")?;
        libraries.push(library);
        Ok(Self {
            version,
            p256,
            p384,
            _libraries: libraries,
        })
    }

    /// As the library states it: `crypto_mb (k1) (ver: 2.3.0 (13.3) build: Sep  8 2026)`.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn functions(&self, curve: Curve) -> Functions {
        match curve {
            Curve::P256 => self.p256,
            Curve::P384 => self.p384,
        }
    }

    /// Multiplies the base point by eight scalars, which gives affine coordinates.
    pub fn public_keys(
        &self,
        curve: Curve,
        scalars: &[Number; LANES],
        x: &mut [Number; LANES],
        y: &mut [Number; LANES],
    ) -> Result<(), Fault> {
        // The library takes null for z as the wish for affine coordinates.
        self.multiply(curve, scalars, x, y, None)
    }

    /// The same in Jacobian coordinates: x / z^2 and y / z^3.
    pub fn points(
        &self,
        curve: Curve,
        scalars: &[Number; LANES],
        x: &mut [Number; LANES],
        y: &mut [Number; LANES],
        z: &mut [Number; LANES],
    ) -> Result<(), Fault> {
        let multiplied = self.multiply(curve, scalars, x, y, Some(&mut *z));
        #[cfg(test)]
        flips::strike(&mut [x, y, z]);
        multiplied
    }

    fn multiply(
        &self,
        curve: Curve,
        scalars: &[Number; LANES],
        x: &mut [Number; LANES],
        y: &mut [Number; LANES],
        z: Option<&mut [Number; LANES]>,
    ) -> Result<(), Fault> {
        all_scalars(curve, scalars)?;
        let scalars = scalars.each_ref().map(|scalar| scalar.0.as_ptr());
        let mut x = x.each_mut().map(|x| x.0.as_mut_ptr());
        let mut y = y.each_mut().map(|y| y.0.as_mut_ptr());
        let mut z = z.map(|z| z.each_mut().map(|z| z.0.as_mut_ptr()));
        // SAFETY: the arrays have eight pointers, each to 64 octets that are ours until the call returns; the
        // library reads or writes 32 (P-256) or 48 (P-384) of them, and keeps no pointer. x, y and z are
        // borrowed mutably, so nothing overlaps. It takes null for z, and ignores the scratch buffer. That
        // this processor has what the code needs was asked of the library when it was loaded.
        let status = unsafe {
            (self.functions(curve).public_keys)(
                x.as_mut_ptr(),
                y.as_mut_ptr(),
                z.as_mut().map_or(ptr::null_mut(), |z| z.as_mut_ptr()),
                scalars.as_ptr(),
                ptr::null_mut(),
            )
        };
        all_well(status)
    }

    /// Signs eight digests, each less than the order and not zero, with one private key.
    pub fn sign(
        &self,
        curve: Curve,
        digests: &[Octets; LANES],
        nonces: &[Number; LANES],
        key: &Number,
        r: &mut [Octets; LANES],
        s: &mut [Octets; LANES],
    ) -> Result<(), Fault> {
        all_scalars(curve, nonces)?;
        all_scalars(curve, std::slice::from_ref(key))?;
        let digests = digests.each_ref().map(|digest| digest.0.as_ptr());
        let nonces = nonces.each_ref().map(|nonce| nonce.0.as_ptr());
        let keys = [key.0.as_ptr(); LANES];
        let mut r = r.each_mut().map(|r| r.0.as_mut_ptr());
        let mut s = s.each_mut().map(|s| s.0.as_mut_ptr());
        // SAFETY: as for `multiply`. The private key is read in every lane and written in none, so the
        // lanes may share it.
        let status = unsafe {
            (self.functions(curve).sign)(
                r.as_mut_ptr(),
                s.as_mut_ptr(),
                digests.as_ptr(),
                nonces.as_ptr(),
                keys.as_ptr(),
                ptr::null_mut(),
            )
        };
        all_well(status)
    }
}

fn all_scalars(curve: Curve, numbers: &[Number]) -> Result<(), Fault> {
    match numbers.iter().position(|number| !curve.has_scalar(number)) {
        Some(lane) => Err(Fault::Scalar { lane }),
        None => Ok(()),
    }
}

/// The library itself would take the order for a scalar and call infinity a public key, which is why scalars
/// are looked at before; whatever it does find wrong is in four bits of each lane (crypto_mb/status.h).
fn all_well(status: u32) -> Result<(), Fault> {
    let of_lane = |lane: usize| (status >> (4 * lane)) & 0xf;
    match (0..LANES).find(|lane| of_lane(*lane) != 0) {
        Some(lane) => Err(Fault::Status {
            lane,
            status: of_lane(lane),
        }),
        None => Ok(()),
    }
}

fn open(path: &Path) -> Result<Library, Unavailable> {
    // SAFETY: loading runs the library's initialisers. It is the one that the user has named, in a place that nobody
    // else may write to; they set up dispatch by processor, and no more.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    library.map_err(|error| unloadable(path, &error))
}

fn unloadable(path: &Path, error: &libloading::Error) -> Unavailable {
    let mut reason = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        reason = source.to_string();
    }
    Unavailable::Unloadable {
        path: path.to_owned(),
        reason,
    }
}

/// A library's symbols.
struct Symbols<'a> {
    library: &'a Library,
    path: &'a Path,
}

impl Symbols<'_> {
    /// A function of the library.
    ///
    /// # Safety
    ///
    /// `F` is the type of a pointer to this function, and nothing calls it once the library is unloaded.
    unsafe fn symbol<F: Copy>(&self, name: &CStr) -> Result<F, Unavailable> {
        // SAFETY: the caller knows the type.
        let symbol = unsafe { self.library.get::<F>(name) };
        symbol
            .map(|symbol| *symbol)
            .map_err(|error| unloadable(self.path, &error))
    }

    /// The library's version, in its own words.
    fn check_version(&self) -> Result<String, Unavailable> {
        type GetVersion = unsafe extern "C" fn() -> *const Version;
        // SAFETY: crypto_mb/version.h declares it so, in every version.
        let version = unsafe {
            let get_version: GetVersion = self.symbol(c"mbx_getversion")?;
            get_version().as_ref()
        };
        // SAFETY: the text, if there is one, is a C string among the constants of the library.
        let text = version
            .filter(|version| !version.text.is_null())
            .map(|version| unsafe { CStr::from_ptr(version.text) }.to_string_lossy())
            .unwrap_or_default();
        match interface(&text) == Some(INTERFACE) {
            true => Ok(text.into_owned()),
            false => Err(Unavailable::Version {
                path: self.path.to_owned(),
                found: text.into_owned(),
            }),
        }
    }

    /// Whether the library has code for this processor, eight lanes wide.
    fn check_processor(&self) -> Result<(), Unavailable> {
        type IsApplicable = unsafe extern "C" fn(u64) -> c_int;
        type AlgorithmInfo = unsafe extern "C" fn(c_int) -> u64;
        // SAFETY: crypto_mb/cpu_features.h declares them so. Both look at the processor and touch no
        // memory; 0 stands for the features of the processor that this runs on.
        let is_served = unsafe {
            let is_applicable: IsApplicable = self.symbol(c"mbx_is_crypto_mb_applicable")?;
            let info: AlgorithmInfo = self.symbol(c"mbx_get_algo_info")?;
            is_applicable(0) != 0 && ALGORITHMS.iter().all(|algorithm| info(*algorithm) & WIDTH != 0)
        };
        match is_served {
            true => Ok(()),
            false => Err(Unavailable::NotApplicable {
                path: self.path.to_owned(),
            }),
        }
    }
}

/// The interface's version in a text like `crypto_mb (k1) (ver: 2.3.0 (13.3) build: Sep  8 2026)`.
fn interface(text: &str) -> Option<&str> {
    let (_, version) = text.split_once("ver: ")?;
    let (_, interface) = version.split_once('(')?;
    interface.split_once('.').map(|(major, _)| major)
}

/// Bits that flip in what the library gives, on this thread, for tests.
#[cfg(test)]
pub(super) mod flips {
    use std::cell::Cell;

    use super::{LANES, Number};

    /// The lane, counted over calls; x, y or z; the bits of the lowest limb.
    type Flip = (usize, usize, u64);

    thread_local! {
        static NEXT: Cell<Option<Flip>> = const { Cell::new(None) };
    }

    /// Flips bits once, in the call that comes to this lane.
    pub fn once(lane: usize, coordinate: usize, bits: u64) {
        NEXT.set(Some((lane, coordinate, bits)));
    }

    pub(super) fn strike(coordinates: &mut [&mut [Number; LANES]; 3]) {
        let Some((lane, coordinate, bits)) = NEXT.get() else {
            return;
        };
        if lane >= LANES {
            return NEXT.set(Some((lane - LANES, coordinate, bits)));
        }
        NEXT.set(None);
        coordinates[coordinate][lane].0[0] ^= bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_the_interface() {
        let text = "crypto_mb (k1) (ver: 2.3.0 (13.3) build: Sep  8 2026)";
        assert_eq!(interface(text), Some(INTERFACE));
        assert_eq!(
            interface("crypto_mb (k1) (ver: 1.0.6 (11.5) build: x)"),
            Some("11")
        );
        for text in ["", "crypto_mb (ver 13.3 Oct 28 2019)", "ver: (13)"] {
            assert_eq!(interface(text), None, "{text}");
        }
    }

    #[test]
    fn a_status_in_any_lane_is_a_fault() {
        assert_eq!(all_well(0), Ok(()));
        for lane in 0..LANES {
            for status in 1..16 {
                assert_eq!(
                    all_well(status << (4 * lane)),
                    Err(Fault::Status { lane, status })
                );
            }
        }
    }
}
