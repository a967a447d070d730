//! Merkle trees, hashed as in RFC 6962, 2.1: leaves behind a zero octet, nodes behind a one.

use ring::digest::{Context, SHA256};

use crate::digest::into_octets;

pub(super) fn leaf(content: &[u8]) -> [u8; 32] {
    hash(0, &[content])
}

/// The root over leaves, in their order; of none it is the SHA-256 of nothing.
pub(super) fn root(mut level: Vec<[u8; 32]>) -> [u8; 32] {
    if level.is_empty() {
        return crate::digest::sha256(&[]);
    }
    // A node without a partner moves up as it is, which gives RFC 6962's tree.
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => hash(1, &[left, right]),
                _ => pair[0],
            })
            .collect();
    }
    level[0]
}

fn hash(kind: u8, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&[kind]);
    for part in parts {
        context.update(part);
    }
    into_octets(context.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    /// The definition, to the letter.
    fn defined(leaves: &[&[u8]]) -> [u8; 32] {
        match leaves {
            [] => crate::digest::sha256(&[]),
            [one] => leaf(one),
            _ => {
                // The largest power of two smaller than n.
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                hash(1, &[&defined(left), &defined(right)])
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
