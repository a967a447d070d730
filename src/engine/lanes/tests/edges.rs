//! Scalars, digests and keys at the edges of their ranges; and those for which an addition has no result.

use super::*;

/// 1, 2, n-1, n-2, around n/2, powers of two and their neighbours, repeated digits of several widths.
fn edge_scalars() -> Vec<Number> {
    let half = Number(std::array::from_fn(|i| {
        N.0[i] >> 1 | N.0.get(i + 1).map_or(0, |next| next << 63)
    }));
    let mut scalars = Vec::new();
    for i in 1..=40 {
        scalars.extend([
            Number([i, 0, 0, 0]),
            minus(&N, i),
            minus(&half, i),
            half.plus(&Number([i, 0, 0, 0])).0,
        ]);
    }
    for bit in 0..256 {
        let mut power = Number::ZERO;
        power.0[bit / 64] = 1 << (bit % 64);
        for distance in 0..3 {
            scalars.extend([
                power.plus(&Number([distance, 0, 0, 0])).0,
                minus(&power, distance),
            ]);
            scalars.push(N.minus(&power.plus(&Number([distance, 0, 0, 0])).0).0);
        }
    }
    for width in [4, 5, 7, 8] {
        for digit in 0..1u64 << width {
            let mut repeated = Number::ZERO;
            for from in (0..256).step_by(width) {
                for bit in 0..width {
                    if from + bit < 256 && digit >> bit & 1 == 1 {
                        repeated.0[(from + bit) / 64] |= 1 << ((from + bit) % 64);
                    }
                }
            }
            scalars.push(repeated);
        }
    }
    scalars.retain(|scalar| !scalar.is_zero() && scalar.is_below(&N));
    scalars
}

#[test]
fn edge_scalars_make_the_points_of_aws_lc_in_every_lane() {
    let edges = edge_scalars();
    let expected: Vec<_> = edges.iter().map(aws_lc).collect();
    for words in Words::all() {
        let mut refused = 0;
        // By each turn they come into another lane.
        for turn in 0..if words == Words::Eight { 8 } else { 1 } {
            for (group, expected) in edges.chunks(64).zip(expected.chunks(64)) {
                let mut own: Vec<_> = group.iter().zip(expected).collect();
                own.rotate_left(turn % group.len());
                let scalars: Vec<_> = own.iter().map(|(scalar, _)| **scalar).collect();
                let Some(points) = multiply(words, &scalars) else {
                    refused += 1;
                    continue;
                };
                for (i, (scalar, expected)) in own.into_iter().enumerate() {
                    assert_eq!([points.x[i], points.y[i]], *expected, "{words:?}: {scalar:x?}");
                }
            }
        }
        assert_eq!(refused, 0, "{words:?}");
    }
}

/// They stand for infinity, which has no coordinates.
#[test]
fn zero_and_the_order_are_refused_in_every_place() {
    for words in Words::all() {
        for scalar in [Number::ZERO, N] {
            for place in [0, 1, 13, 63] {
                let mut scalars = random::<64>();
                scalars[place] = scalar;
                assert!(multiply(words, &scalars).is_none(), "{words:?}: {place}");
                assert!(
                    sign(words, &Number::ONE, &scalars, &random::<64>()).is_none(),
                    "{words:?}: {place}"
                );
            }
        }
    }
}

/// The order as a sum of odd digits, of which those in odd windows come to one multiple, and those in even ones to the
/// opposite point. A scalar with the signs of one half turned over has the same point in both halves, and the last
/// addition is one of a point to itself.
fn crafted(bits: usize) -> Vec<Number> {
    let windows = 256usize.div_ceil(bits);
    let mut halves = [Number::ZERO; 2];
    for window in 0..windows {
        let from = bits * window + 1;
        let bit = |i: usize| {
            if from + i < 256 {
                N.0[(from + i) / 64] >> ((from + i) % 64) & 1
            } else {
                0
            }
        };
        let value = (0..bits).map(|i| bit(i) << i).sum::<u64>();
        let (size, is_negative) = match (window + 1 == windows, 2 * value + 1) {
            (true, digit) => (digit, false),
            (false, digit) if digit > 1 << bits => (digit - (1 << bits), false),
            (false, digit) => ((1 << bits) - digit, true),
        };
        let mut shifted = Number([size, 0, 0, 0]);
        for _ in 0..bits * window {
            shifted = shifted.sum(&shifted, &N);
        }
        let shifted = if is_negative { N.minus(&shifted).0 } else { shifted };
        halves[window % 2] = halves[window % 2].sum(&shifted, &N);
    }
    let [even, odd] = halves;
    assert!(even.sum(&odd, &N).is_zero(), "the halves come to the order");
    let difference = |a: &Number, b: &Number| a.sum(&N.minus(b).0, &N);
    vec![difference(&odd, &even), difference(&even, &odd)]
}

#[test]
fn crafted_scalars_are_refused_or_right_and_never_wrong() {
    for words in Words::all() {
        let bits = on!(words, |lanes| { lanes::SECRET_BITS });
        let mut refused = 0;
        for scalar in crafted(bits) {
            for place in 0..8 {
                let mut scalars = random::<32>();
                scalars[place] = scalar;
                match multiply(words, &scalars) {
                    Some(points) => {
                        assert_eq!([points.x[place], points.y[place]], aws_lc(&scalar), "{words:?}");
                    }
                    None => refused += 1,
                }
            }
        }
        eprintln!("{words:?}: {refused} of 16 batches are refused");
    }
}

#[test]
fn hostile_digests_are_signed_and_judged_as_aws_lc_does() {
    let mut above = N;
    above.0[0] += 1;
    let digests = [
        Number::ZERO,
        N,
        minus(&N, 1),
        above,
        Number([u64::MAX; 4]),
        Number::ONE,
        Number([0, 0, 0, 1 << 63]),
        Number([1, 0, 0, 0]),
    ];
    let keys = [
        Number::ONE,
        Number([2, 0, 0, 0]),
        minus(&N, 1),
        minus(&N, 2),
        random::<1>()[0],
    ];
    for words in Words::all() {
        for key in &keys {
            let signatures = sign(words, key, &random::<8>(), &digests).unwrap();
            for (i, digest) in digests.iter().enumerate() {
                let (r, s) = (&signatures.r[i], &signatures.s[i]);
                assert!(
                    aws_lc_accepts(key, digest, r, s),
                    "{words:?}: {key:x?}, {digest:x?}"
                );
            }
            let valid = verify(words, &aws_lc(key), &digests, &signatures);
            // Under the keys 1 and n-1 both points are the same, or opposite, and an addition may have no result.
            if let Some(valid) = valid {
                assert!(valid.iter().all(|valid| *valid), "{words:?}: {key:x?}");
                let mut other = digests;
                other.rotate_left(1);
                for (i, valid) in verify(words, &aws_lc(key), &other, &signatures)
                    .into_iter()
                    .flatten()
                    .enumerate()
                {
                    let (r, s) = (&signatures.r[i], &signatures.s[i]);
                    assert_eq!(valid, aws_lc_accepts(key, &other[i], r, s), "{words:?}: {key:x?}");
                }
            }
        }
    }
}

/// Two factors that come to nothing: the sum is infinity, which no signature has.
#[test]
fn a_signature_whose_sum_is_infinity_is_not_said_to_be_valid() {
    for words in Words::all() {
        let (mut digests, r, s) = (random::<32>(), random::<32>(), random::<32>());
        let key = aws_lc(&Number::ONE);
        digests[5] = N.minus(&r[5]).0;
        let signatures = Signatures {
            r: r.to_vec(),
            s: s.to_vec(),
        };
        let valid = verify(words, &key, &digests, &signatures);
        assert!(valid.is_none_or(|valid| !valid[5]), "{words:?}");
        assert!(!aws_lc_accepts(&Number::ONE, &digests[5], &r[5], &s[5]));
    }
}
