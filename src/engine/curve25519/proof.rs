//! Proof of products by another library: the sum of many, which must be that of aws-lc for the sum of their secrets. A
//! fault in one lane is found whichever it is: it would change one of the points, and so the sum.

use std::hint::black_box;
use std::iter;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use crate::engine::lanes::number::Number;

/// The order of the base point: 2^252 + 27742317777372353535851937790883648493 (RFC 7748, 4.1).
const ORDER: Number = Number([
    0x5812_631a_5cf5_d3ed,
    0x14de_f9de_a2f7_9cd6,
    0,
    0x1000_0000_0000_0000,
]);

/// The sum of clamped secrets, each an eighth of itself, modulo the order.
pub struct Total(Zeroizing<Number>);

impl Total {
    /// Of these, and of the zeros that fill words of so many lanes.
    pub fn of(secrets: &[[u8; 32]], lanes: usize) -> Self {
        let mut total = Zeroizing::new(Number::ZERO);
        let zeros = secrets.len().next_multiple_of(lanes) - secrets.len();
        for secret in secrets.iter().chain(iter::repeat_n(&[0; 32], zeros)) {
            let eighth = Zeroizing::new(eighth(secret));
            *total = total.sum(&eighth, &ORDER);
        }
        Self(total)
    }

    /// A secret whose products have the same u. Between 2^251 and 2^252, where those of clamped secrets are, there is the
    /// sum or, but for one in 2^125, its negative.
    fn secret(&self) -> Zeroizing<[u8; 32]> {
        let total = &*self.0;
        let (negative, _) = ORDER.minus(total);
        let negative = Zeroizing::new(negative);
        let top = total.0[3] >> 59;
        // The compiler must not see that it is one of two: it would make a branch of it.
        let keep = black_box((top & 1 & !(top >> 1)).wrapping_neg());
        let mut words = Zeroizing::new([0; 4]);
        for (i, word) in words.iter_mut().enumerate() {
            *word = total.0[i] & keep | negative.0[i] & !keep;
        }
        let mut octets = Zeroizing::new([0; 32]);
        let mut below = 0;
        for (place, word) in octets.as_chunks_mut::<8>().0.iter_mut().zip(&*words) {
            *place = (word << 3 | below).to_le_bytes();
            below = word >> 61;
        }
        octets
    }

    /// Whether these products, with the base point and with another, are what aws-lc makes of it.
    pub fn is(&self, of_base: &[u8; 32], point: &[u8; 32], of_point: &[u8; 32]) -> bool {
        let secret = PrivateKey::from_private_key(&X25519, &self.secret()[..]);
        let Ok(secret) = secret else { return false };
        let Ok(public) = secret.compute_public_key() else {
            return false;
        };
        let point = UnparsedPublicKey::new(&X25519, point);
        let is_of_point = agree(&secret, point, Unspecified, |shared| {
            verify_slices_are_equal(shared, of_point)
        });
        verify_slices_are_equal(public.as_ref(), of_base).is_ok() & is_of_point.is_ok()
    }
}

/// The bits of a clamped secret but for the three lowest. It is below the order.
fn eighth(secret: &[u8; 32]) -> Number {
    let mut words = [0; 4];
    for (word, octets) in words.iter_mut().zip(secret.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*octets);
    }
    words[3] = (words[3] & ((1 << 62) - 1)) | (1 << 62);
    let [a, b, c, d] = words;
    Number([
        (a >> 3) | (b << 61),
        (b >> 3) | (c << 61),
        (c >> 3) | (d << 61),
        d >> 3,
    ])
}
