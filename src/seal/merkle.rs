//! Merkle trees, hashed as in RFC 6962, 2.1: leaves behind a zero octet, nodes behind a one.

use crate::digest::{sha256, sha256_many};

/// Octets of a node: what kind it is, and the two below it.
const NODE: usize = 1 + 2 * 32;

pub(super) fn leaf(content: &[u8]) -> [u8; 32] {
    sha256(&[&[0], content].concat())
}

/// The SHA-256 of a text, and the root over its lines as leaves.
pub(super) fn of_text<'a>(text: &[u8], lines: impl Iterator<Item = &'a [u8]>) -> ([u8; 32], [u8; 32]) {
    let (mut leaves, mut ends) = (Vec::with_capacity(2 * text.len()), Vec::new());
    for line in lines {
        leaves.push(0);
        leaves.extend_from_slice(line);
        ends.push(leaves.len());
    }
    let mut messages = Vec::with_capacity(1 + ends.len());
    // The longest first, and the others beside it.
    messages.push(text);
    let mut start = 0;
    for end in ends {
        messages.push(&leaves[start..end]);
        start = end;
    }
    let mut digests = vec![[0; 32]; messages.len()];
    sha256_many(&messages, &mut digests);
    let leaves = digests.split_off(1);
    (digests[0], root(leaves))
}

/// The root over leaves, in their order; of none it is the SHA-256 of nothing.
pub(super) fn root(mut level: Vec<[u8; 32]>) -> [u8; 32] {
    if level.is_empty() {
        return sha256(&[]);
    }
    let mut nodes = Vec::with_capacity(NODE * level.len().div_ceil(2));
    while level.len() > 1 {
        let (pairs, alone) = level.as_chunks();
        nodes.clear();
        for [left, right] in pairs {
            nodes.extend_from_slice(&node(left, right));
        }
        let messages: Vec<&[u8]> = nodes.chunks(NODE).collect();
        let mut above = vec![[0; 32]; messages.len()];
        sha256_many(&messages, &mut above);
        // A node without a partner moves up as it is, which gives RFC 6962's tree.
        above.extend_from_slice(alone);
        level = above;
    }
    level[0]
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; NODE] {
    let mut node = [1; NODE];
    node[1..33].copy_from_slice(left);
    node[33..].copy_from_slice(right);
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    /// The definition, to the letter.
    fn defined(leaves: &[&[u8]]) -> [u8; 32] {
        match leaves {
            [] => sha256(&[]),
            [one] => leaf(one),
            _ => {
                // The largest power of two smaller than n.
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                sha256(&node(&defined(left), &defined(right)))
            }
        }
    }

    #[test]
    fn is_the_tree_of_rfc_6962() {
        let leaves: Vec<Vec<u8>> = (0..70_u8).map(|i| vec![i; usize::from(i)]).collect();
        for n in 0..leaves.len() {
            let leaves: Vec<&[u8]> = leaves[..n].iter().map(Vec::as_slice).collect();
            let hashed = leaves.iter().map(|content| leaf(content)).collect();
            assert_eq!(root(hashed), defined(&leaves), "{n} leaves");
            let of_text = of_text(b"text", leaves.iter().copied());
            assert_eq!(of_text, (sha256(b"text"), defined(&leaves)), "{n} lines");
        }
    }

    /// <https://github.com/google/certificate-transparency>, merkletree tests: the first eight leaves.
    #[test]
    fn agrees_with_the_published_roots() {
        let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"];
        let hashed: Vec<_> = leaves
            .iter()
            .map(|hex| leaf(&HEXLOWER.decode(hex.as_bytes()).unwrap()))
            .collect();
        for (n, expected) in [
            (
                1,
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            ),
            (
                2,
                "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            ),
            (
                3,
                "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            ),
            (
                7,
                "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            ),
        ] {
            assert_eq!(HEXLOWER.encode(&root(hashed[..n].to_vec())), expected, "{n}");
        }
    }
}
