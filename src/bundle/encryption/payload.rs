//! The payload: chunks of 64 KiB, each sealed with ChaCha20-Poly1305 under a nonce that counts and tells the last.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use zeroize::Zeroizing;

use super::{CHUNK, TAG};

/// Octets that the chunks of so many octets of plaintext have.
pub(super) fn sealed_len(plain: usize) -> usize {
    plain + plain.div_ceil(CHUNK).max(1) * TAG
}

/// The counter in eleven octets, and whether it is the last.
fn nonce(counter: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&counter.to_be_bytes());
    nonce[11] = is_last.into();
    Nonce::assume_unique_for_key(nonce)
}

/// Seals plaintext at the end of a buffer, which has room for it.
pub(super) fn append(key: &LessSafeKey, plain: &[u8], out: &mut Vec<u8>) {
    let last = plain.len().div_ceil(CHUNK).max(1) - 1;
    for counter in 0..=last {
        let start = out.len();
        let end = plain.len().min((counter + 1) * CHUNK);
        out.extend_from_slice(&plain[counter * CHUNK..end]);
        let nonce = nonce(counter as u64, counter == last);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut out[start..]);
        out.extend_from_slice(tag.expect("a chunk can be sealed").as_ref());
    }
}

/// Opens chunks, of which the last, and no other, says that it is the last, and is not empty behind others. `None` when they
/// are not what was sealed.
pub(super) fn open(key: &LessSafeKey, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let count = sealed.len().div_ceil(CHUNK + TAG);
    // It never moves, so that no copy is left behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    for (counter, chunk) in sealed.chunks(CHUNK + TAG).enumerate() {
        let is_last = counter + 1 == count;
        let start = plain.len();
        plain.extend_from_slice(chunk);
        let nonce = nonce(counter as u64, is_last);
        let opened = key.open_in_place(nonce, Aad::empty(), &mut plain[start..]);
        let len = opened.ok()?.len();
        if len == 0 && counter > 0 {
            return None;
        }
        plain.truncate(start + len);
    }
    (count > 0).then_some(plain)
}

/// A chunk, by its number and whether it says that it is the last.
#[cfg(test)]
pub(super) fn sealed(key: &LessSafeKey, plain: &[u8], (counter, is_last): (u64, bool)) -> Vec<u8> {
    let mut chunk = plain.to_vec();
    let tag = key.seal_in_place_separate_tag(nonce(counter, is_last), Aad::empty(), &mut chunk);
    chunk.extend_from_slice(tag.expect("a chunk can be sealed").as_ref());
    chunk
}
