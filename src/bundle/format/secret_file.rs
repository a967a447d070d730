//! What is recorded of a secret that lies in a file of the user's own: by it the file is known again, and guessing takes longer by it
//! than by the files that the secret opens.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use data_encoding::HEXLOWER;

/// Fifty times what a PKCS#12 file has by default; some 20 ms.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

/// The check of a secret, under the path that the profile has for its file.
pub(super) fn check(path: &str, secret: &str) -> String {
    let mut octets = [0; 16];
    let salt = format!("certforge secret file {path}");
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ITERATIONS,
        salt.as_bytes(),
        secret.as_bytes(),
        &mut octets,
    );
    HEXLOWER.encode(&octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches that were begun go on with it.
    #[test]
    fn a_check_is_what_it_always_was() {
        // hashlib.pbkdf2_hmac('sha256', b'geheim', b'certforge secret file p', 100_000, 16)
        assert_eq!(check("p", "geheim"), "b821ca4b1a8e6f67789c92d99c0e4220");
        assert_ne!(check("p", "geheim"), check("q", "geheim"));
    }
}
