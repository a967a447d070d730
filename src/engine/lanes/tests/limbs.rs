//! No limb overflows: the arithmetic on checked words, with limbs at the ends of their ranges, and held against
//! arithmetic of another kind.

use proptest::prelude::*;

use super::super::checked::field::{self, Element};
use super::super::checked::order;
use super::super::number::{LOW52, Modulus, P};
use super::super::table::FIELD;
use super::*;

const ORDER: Modulus = Modulus::new(N);

/// What a limb may be: anything, or at one of its ends.
fn limb() -> impl Strategy<Value = u64> {
    prop_oneof![2 => 0..=LOW52, 2 => Just(LOW52), 1 => Just(0), 1 => Just(1), 1 => Just(LOW52 - 1)]
}

/// Limbs whose value is below four times p and four times n: more than any product takes.
fn element() -> impl Strategy<Value = Element> {
    const TOP: u64 = 4 * 0xffff_ffff_0000 - 1;
    let top = prop_oneof![0..=TOP, Just(TOP), Just(0)];
    (limb(), limb(), limb(), limb(), top).prop_map(|(a, b, c, d, e)| Element([a, b, c, d, e]))
}

/// The value of limbs with a sign, as a form of this modulus.
fn value(limbs: &[u64; 5], modulus: &Modulus, prime: &Number) -> Number {
    let mut value = Number::ZERO;
    for limb in limbs.iter().rev() {
        for _ in 0..52 {
            value = modulus.plus(&value, &value);
        }
        let size = Number([limb.cast_signed().unsigned_abs(), 0, 0, 0]);
        value = match limb.cast_signed() < 0 {
            true => modulus.minus(&value, &size),
            false => modulus.plus(&value, &size),
        };
    }
    assert!(value.is_below(prime));
    modulus.enter(&value)
}

/// 2^260, as a form.
fn radix(modulus: &Modulus, prime: &Number) -> Number {
    modulus.enter(&Number::power_of_two(260, prime))
}

fn is_below_twice(element: &Element, modulus: &Number) -> bool {
    let less = field::less(element, &modulus.limbs52());
    // Once more changes nothing when it is below the modulus.
    field::less(&less, &modulus.limbs52()).0 == less.0 && element.0.iter().all(|limb| *limb <= LOW52)
}

proptest! {
    #[test]
    fn products_are_right_and_within_their_limbs(a in element(), b in element()) {
        let product = field::mul(&a, &b);
        let square = field::square(&a);
        let [va, vb, vp, vs] = [&a, &b, &product, &square].map(|e| value(&e.0, &FIELD, &P));
        prop_assert_eq!(FIELD.times(&vp, &radix(&FIELD, &P)), FIELD.times(&va, &vb));
        prop_assert_eq!(FIELD.times(&vs, &radix(&FIELD, &P)), FIELD.times(&va, &va));
        prop_assert!(is_below_twice(&product, &P) && is_below_twice(&square, &P));
        let product = order::mul(&a, &b);
        let [va, vb, vp] = [&a, &b, &product].map(|e| value(&e.0, &ORDER, &N));
        prop_assert_eq!(ORDER.times(&vp, &radix(&ORDER, &N)), ORDER.times(&va, &vb));
        prop_assert!(is_below_twice(&product, &N));
    }

    /// Differences of any two elements, folded, are the same modulo p and small.
    #[test]
    fn folded_values_are_small_and_the_same(a in element(), b in element(), c in limb()) {
        // The multiple keeps the value above what the fold needs.
        let difference = field::difference(&a.0, &b, &field::times_p(8));
        let folded = field::fold(difference);
        prop_assert_eq!(value(&folded.0, &FIELD, &P), value(&difference, &FIELD, &P));
        prop_assert!(folded.0.iter().all(|limb| *limb <= LOW52));
        prop_assert!(folded.0[4] < (1 << 48) + (1 << 20), "{:x}", folded.0[4]);
        let carried = field::carry(difference);
        prop_assert_eq!(value(&carried.0, &FIELD, &P), value(&difference, &FIELD, &P));
        prop_assert!(c <= LOW52);
    }

    #[test]
    fn inverses_are_inverses(limbs in any::<[u64; 4]>(), blind in any::<[u64; 4]>(), more in 0u64..1 << 32) {
        let number = Number(limbs);
        prop_assume!(number.is_below(&N) && !number.is_zero());
        let blind = Number(blind);
        prop_assume!(blind.is_below(&N) && !blind.is_zero());
        let inverse = field::invert(&Element(number.limbs52()), &blind);
        let one = field::mul(&Element(number.limbs52()), &inverse);
        prop_assert_eq!(field::less(&one, &P.limbs52()).0, field::ONE);
        let mut numbers = [Element(number.limbs52()), Element([1 + more, 0, 0, 0, 0]), Element(minus(&N, 1).limbs52()), Element(blind.limbs52())];
        let numbers_before = numbers;
        let mut before = numbers;
        prop_assert!(order::invert_all(&mut numbers, &mut before, &blind));
        for (number, inverse) in numbers_before.iter().zip(&numbers) {
            let one = order::mul(number, inverse);
            prop_assert_eq!(field::less(&one, &N.limbs52()).0, Number::ONE.limbs52());
        }
    }

    #[test]
    fn limbs_are_split_and_joined(limbs in any::<[u64; 4]>()) {
        prop_assert_eq!(field::join(&field::split(&limbs)), limbs);
        prop_assert_eq!(field::split(&limbs).0, Number(limbs).limbs52());
    }
}

#[test]
fn nothing_has_an_inverse_of_nothing() {
    let mut numbers = [
        Element(Number::ONE.limbs52()),
        Element([0; 5]),
        Element(N.limbs52()),
        Element([5, 0, 0, 0, 0]),
    ];
    let mut before = numbers;
    assert!(!order::invert_all(&mut numbers, &mut before, &Number::ONE));
}

/// Whole jobs, whose claims are checked at every step: many scalars of all kinds, and signatures.
#[test]
fn whole_jobs_keep_every_claim() {
    for _ in 0..8 {
        let scalars = random::<256>();
        let points = multiply(Words::Checked, &scalars).unwrap();
        assert!(is_sum_of(&points, &scalars));
        let [key] = random();
        let digests = random::<256>();
        let signatures = sign(Words::Checked, &key, &scalars, &digests).unwrap();
        let valid = verify(Words::Checked, &aws_lc(&key), &digests, &signatures).unwrap();
        assert!(valid.iter().all(|valid| *valid));
    }
}
