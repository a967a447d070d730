//! Products of many scalars with fixed points, in affine coordinates.
//!
//! Every scalar has a few accumulators. A round adds one multiple to each accumulator of all scalars; for that it needs
//! one inversion, by which all denominators are inverted together (Montgomery). So an addition takes five products and
//! a square. In the end accumulators are added to each other.
//!
//! An addition of a point to itself or to its negative has 0 for its denominator, which makes nothing of the whole
//! round: that is seen, and the batch is given back as refused. It never makes a wrong point.

use super::super::number::{B, N, Number, P};
use super::super::table::{FIELD, Jacobian, PublicComb, Row, SecretComb, windows};
use super::field::{
    Element, ONE, carry, constant, difference, fold, invert, is_nothing, leave, mul, negate, square, times_p,
};
use super::word::{
    self, ACCUMULATORS, CHAINS, LANES, Mask, SECRET_BITS, Word, add, and, choose, is_zero, left_by, look_up,
    minus, or, pick, right_by, splat, sub, xor,
};
#[cfg(test)]
use super::{super::fault::Stage, field::strike};

/// Inversions of a batch of products with secret scalars, each of which takes a blind of its own.
pub const BLINDS: usize = windows(SECRET_BITS).div_ceil(ACCUMULATORS) - 1 + ACCUMULATORS.ilog2() as usize;

/// What a batch works with; it is used again. It holds secrets until it is wiped.
pub struct Work {
    /// The accumulators, of which each has as many words as there are words of scalars. In the end the points are in
    /// the first.
    pub x: Vec<Element>,
    pub y: Vec<Element>,
    denominators: Vec<Element>,
    before: Vec<Element>,
    /// The scalars, made odd, and whether each was negated for that.
    pub scalars: Vec<[Word; 4]>,
    pub negated: Vec<Mask>,
}

/// What is added in a round.
#[derive(Clone, Copy)]
pub enum Addends<'a> {
    /// Multiples of the base point, by digits of secret scalars.
    Secret(&'a SecretComb),
    /// Multiples of two points, by digits of public scalars: those of the second point come behind those of the first.
    Public { comb: &'a PublicComb, bits: usize },
    /// Accumulators, from this one on.
    Accumulators(usize),
}

/// The kinds of addends, for each of which a round is compiled apart.
const SECRET: u8 = 0;
const PUBLIC: u8 = 1;
const ACCUMULATED: u8 = 2;

const P2: [u64; 5] = times_p(2);
const P4: [u64; 5] = times_p(4);
const P5: [u64; 5] = times_p(5);
const P8: [u64; 5] = times_p(8);
const P12: [u64; 5] = times_p(12);

/// A small number's form.
const fn form(number: &Number) -> [u64; 5] {
    // Doubled 260 times.
    let mut power = *number;
    let mut i = 0;
    while i < 260 {
        let (double, carry) = power.plus(&power);
        let (less, borrow) = double.minus(&P);
        power = if carry || !borrow { less } else { double };
        i += 1;
    }
    power.limbs52()
}
const THREE: [u64; 5] = form(&Number([3, 0, 0, 0]));
const CURVE_B: [u64; 5] = form(&B);

features! {
impl Work {
    /// For so many words of scalars, of which each point has so many.
    pub fn new(words: usize, points: usize) -> Self {
        let nothing = Element([word::zero(); 5]);
        Self {
            x: vec![nothing; words * ACCUMULATORS],
            y: vec![nothing; words * ACCUMULATORS],
            denominators: vec![nothing; words * ACCUMULATORS],
            before: vec![nothing; words * ACCUMULATORS],
            scalars: vec![[word::zero(); 4]; words * points],
            negated: vec![0; words * points],
        }
    }

    /// Leaves nothing of what it held.
    pub fn wipe(&mut self) {
        let nothing = Element([word::zero(); 5]);
        for elements in [&mut self.x, &mut self.y, &mut self.denominators, &mut self.before] {
            elements.fill(nothing);
            zeroize::optimization_barrier(elements.as_slice());
        }
        self.scalars.fill([word::zero(); 4]);
        zeroize::optimization_barrier(self.scalars.as_slice());
        self.negated.fill(0);
        zeroize::optimization_barrier(self.negated.as_slice());
    }

    /// Takes scalars below n, and makes each odd: n less it, where it is even.
    #[inline]
    pub fn take(&mut self, at: usize, scalars: &[Word; 4]) {
        let even = is_zero(and(scalars[0], splat(1)));
        let mut borrow: Mask = 0;
        for i in 0..4 {
            let negated;
            (negated, borrow) = minus(splat(N.0[i]), scalars[i], borrow);
            self.scalars[at][i] = choose(even, negated, scalars[i]);
        }
        self.negated[at] = even;
        #[cfg(test)]
        strike(Stage::Scalar, &mut self.scalars[at]);
    }

    /// Adds up the products of all scalars that were taken. Afterwards x has the x of the points, and y the y, as
    /// forms; where a scalar was negated, the point is not. False when an addition had no result.
    #[inline(never)]
    pub fn multiply(&mut self, addends: Addends<'_>, words: usize, blinds: &[Number]) -> bool {
        let windows = match addends {
            Addends::Secret(_) => windows(SECRET_BITS),
            Addends::Public { bits, .. } => 2 * windows(bits),
            Addends::Accumulators(_) => 0,
        };
        for accumulator in 0..ACCUMULATORS {
            for word in 0..words {
                let at = accumulator * words + word;
                (self.x[at], self.y[at]) = match addends {
                    Addends::Secret(_) => self.addend::<SECRET>(addends, words, accumulator, 0, word),
                    _ => self.addend::<PUBLIC>(addends, words, accumulator, 0, word),
                };
            }
        }
        let mut blinds = blinds.iter();
        let mut nothing: Mask = 0;
        for first in (ACCUMULATORS..windows).step_by(ACCUMULATORS) {
            let count = ACCUMULATORS.min(windows - first);
            let blind = blinds.next().expect("there is one a round");
            nothing |= match addends {
                Addends::Secret(_) => self.round::<SECRET>(addends, words, first, count, blind),
                _ => self.round::<PUBLIC>(addends, words, first, count, blind),
            };
        }
        for at in 0..ACCUMULATORS * words { self.settle(at); }
        let mut count = ACCUMULATORS;
        while count > 1 {
            let half = count.div_ceil(2);
            let blind = blinds.next().expect("there is one a round");
            nothing |= self.round::<ACCUMULATED>(Addends::Accumulators(half), words, 0, count - half, blind);
            for at in 0..(count - half) * words { self.settle(at); }
            count = half;
        }
        nothing == 0
    }

    /// Brings a y back into its limbs.
    #[inline]
    fn settle(&mut self, at: usize) {
        let mut y = self.y[at].0;
        for (limb, p) in y.iter_mut().zip(P5) { *limb = add(*limb, splat(p)); }
        self.y[at] = fold(y);
    }

    /// What accumulators begin with.
    #[inline]
    fn addend<const KIND: u8>(&self, addends: Addends<'_>, words: usize, accumulator: usize, first: usize, word: usize) -> (Element, Element) {
        let x = self.addend_x::<KIND>(addends, words, accumulator, first, word);
        (x, Element(self.addend_y::<KIND>(addends, words, accumulator, first, word)))
    }

    /// The x of what a round adds to an accumulator.
    #[inline]
    fn addend_x<const KIND: u8>(&self, addends: Addends<'_>, words: usize, accumulator: usize, first: usize, word: usize) -> Element {
        match addends {
            Addends::Secret(comb) if KIND == SECRET => {
                let (index, _) = self.digit(word, first + accumulator, SECRET_BITS);
                Element(pick(comb.window(first + accumulator).0, index))
            }
            Addends::Public { comb, bits } if KIND == PUBLIC => {
                let (rows, index, _) = self.public(comb, bits, words, first + accumulator, word);
                super::field::split(&look_up(rows, index, false))
            }
            Addends::Accumulators(from) if KIND == ACCUMULATED => self.x[(from + accumulator) * words + word],
            _ => unreachable!("addends are of their kind"),
        }
    }

    /// The y of it, in limbs with a sign.
    #[inline]
    fn addend_y<const KIND: u8>(&self, addends: Addends<'_>, words: usize, accumulator: usize, first: usize, word: usize) -> [Word; 5] {
        match addends {
            Addends::Secret(comb) if KIND == SECRET => {
                let (index, negative) = self.digit(word, first + accumulator, SECRET_BITS);
                negate(&Element(pick(comb.window(first + accumulator).1, index)), negative)
            }
            Addends::Public { comb, bits } if KIND == PUBLIC => {
                let (rows, index, negative) = self.public(comb, bits, words, first + accumulator, word);
                negate(&super::field::split(&look_up(rows, index, true)), negative)
            }
            Addends::Accumulators(from) if KIND == ACCUMULATED => self.y[(from + accumulator) * words + word].0,
            _ => unreachable!("addends are of their kind"),
        }
    }

    /// The rows of a window of either point, and what is taken of them.
    #[inline]
    fn public<'a>(&self, comb: &'a PublicComb, bits: usize, words: usize, window: usize, word: usize) -> (&'a [Row], Word, Mask) {
        let (point, own) = (window / windows(bits), window % windows(bits));
        let scalar = point * words + word;
        let (index, negative) = self.digit(scalar, own, bits);
        (comb.window(window), index, negative ^ self.negated[scalar])
    }

    /// A digit: which of the positive odd multiples it is, and whether it is negative. The highest never is.
    #[inline]
    fn digit(&self, scalar: usize, window: usize, bits: usize) -> (Word, Mask) {
        let scalar = &self.scalars[scalar];
        let from = bits * window + 1;
        let (limb, shift) = (from / 64, (from % 64) as u64);
        let mut digit = match scalar.get(limb) {
            Some(limb) => right_by(*limb, shift),
            None => word::zero(),
        };
        if let Some(next) = scalar.get(limb + 1) { digit = or(digit, left_by(*next, 64 - shift)); }
        let below = splat((1 << (bits - 1)) - 1);
        if window + 1 == windows(bits) {
            return (and(digit, below), 0);
        }
        let negative = is_zero(and(digit, splat(1 << (bits - 1))));
        (and(choose(negative, xor(digit, below), digit), below), negative)
    }

    /// One addition to each of `count` accumulators, from window `first` on. The lanes where a denominator was 0, or in
    /// whose company.
    #[inline(never)]
    fn round<const KIND: u8>(&mut self, addends: Addends<'_>, words: usize, first: usize, count: usize, blind: &Number) -> Mask {
        let mut product = [constant(&ONE); CHAINS];
        for accumulator in 0..count {
            for group in (0..words).step_by(CHAINS) {
                for j in 0..CHAINS {
                    let at = accumulator * words + group + j;
                    let x2 = self.addend_x::<KIND>(addends, words, accumulator, first, group + j);
                    let denominator = carry(difference(&x2.0, &self.x[at], &P2));
                    self.denominators[at] = denominator;
                    self.before[at] = product[j];
                    product[j] = mul(&product[j], &denominator);
                    #[cfg(test)]
                    strike(Stage::Denominator, &mut self.denominators[at].0);
                    #[cfg(test)]
                    strike(Stage::Before, &mut self.before[at].0);
                }
            }
        }
        let mut all = product[0];
        let mut before_chain = [all; CHAINS];
        for j in (0..CHAINS).skip(1) {
            before_chain[j] = all;
            all = mul(&all, &product[j]);
        }
        let nothing = is_nothing(&leave(&all));
        let mut inverse = invert(&all, blind);
        let mut after = product;
        for j in (0..CHAINS).skip(1).rev() {
            after[j] = mul(&inverse, &before_chain[j]);
            inverse = mul(&inverse, &product[j]);
        }
        after[0] = inverse;
        for accumulator in (0..count).rev() {
            for group in (0..words).step_by(CHAINS).rev() {
                self.add_group::<KIND>(addends, words, accumulator, first, group, &mut after);
            }
        }
        nothing
    }

    /// The additions of a group, one in each chain. `after` are the inverses of the products up to here.
    #[inline]
    fn add_group<const KIND: u8>(&mut self, addends: Addends<'_>, words: usize, accumulator: usize, first: usize, group: usize, after: &mut [Element; CHAINS]) {
        let at = accumulator * words + group;
        let zero = Element([word::zero(); 5]);
        let (mut slope, mut rise, mut y2, mut x3) = ([zero; CHAINS], [zero; CHAINS], [zero.0; CHAINS], [zero; CHAINS]);
        for j in 0..CHAINS { slope[j] = mul(&after[j], &self.before[at + j]); }
        for j in 0..CHAINS { after[j] = mul(&after[j], &self.denominators[at + j]); }
        for j in 0..CHAINS {
            y2[j] = self.addend_y::<KIND>(addends, words, accumulator, first, group + j);
            // y1 is between -2p and 3p, y2 between -p and 2p.
            rise[j] = fold(difference(&y2[j], &self.y[at + j], &P5));
        }
        for j in 0..CHAINS { slope[j] = mul(&rise[j], &slope[j]); }
        for j in 0..CHAINS { x3[j] = square(&slope[j]); }
        for j in 0..CHAINS {
            // x3 = slope² - x1 - x2, and x2 + x1 = denominator + 2 x1 - 2p.
            let x1 = self.x[at + j];
            let mut x = difference(&x3[j].0, &self.denominators[at + j], &P12);
            for i in 0..5 { x[i] = sub(x[i], add(x1.0[i], x1.0[i])); }
            let x = fold(x);
            self.x[at + j] = x;
            #[cfg(test)]
            strike(Stage::X, &mut self.x[at + j].0);
            x3[j] = carry(difference(&x1.0, &x, &P2));
        }
        for j in 0..CHAINS {
            // y3 = slope (x1 - x3) - y1, and -y1 = rise - y2: limbs with a sign.
            let mut y = mul(&slope[j], &x3[j]).0;
            for i in 0..5 { y[i] = add(y[i], sub(rise[j].0[i], y2[j][i])); }
            self.y[at + j] = Element(y);
            #[cfg(test)]
            strike(Stage::Y, &mut self.y[at + j].0);
        }
    }

    /// Negates the points whose scalars were negated. Then the coordinates are those of the scalars that were taken.
    #[inline]
    pub fn restore(&mut self, words: usize) {
        for at in 0..words {
            self.y[at] = Element(negate(&self.y[at], self.negated[at]));
            self.settle(at);
        }
    }

    /// Whether each point is on the curve.
    #[inline(never)]
    pub fn is_on_curve(&self, words: usize) -> bool {
        let (three, b) = (constant(&THREE), constant(&CURVE_B));
        let mut off: Mask = 0;
        for (x, y) in self.x[..words].iter().zip(&self.y[..words]) {
            let factor = carry(difference(&square(x).0, &three, &P2));
            let right_side = mul(x, &factor);
            let mut rest = difference(&square(y).0, &right_side, &P4);
            for i in 0..5 { rest[i] = sub(rest[i], b.0[i]); }
            off |= is_nothing(&leave(&carry(rest))) ^ ALL_LANES;
        }
        off == 0
    }

    /// The sum of all points, whatever they are. False where two of a lane are the same or opposite, which has no sum
    /// here.
    #[inline(never)]
    pub fn sum(&self, words: usize) -> Option<Jacobian> {
        let (mut x, mut y, mut z) = (self.x[0], self.y[0], constant(&ONE));
        for (x2, y2) in self.x[1..words].iter().zip(&self.y[1..words]) {
            let zz = square(&z);
            let u = mul(x2, &zz);
            let s = mul(&mul(y2, &z), &zz);
            let h = carry(difference(&u.0, &x, &P2));
            let r = carry(difference(&s.0, &y, &P2));
            let hh = square(&h);
            let hhh = mul(&h, &hh);
            let v = mul(&x, &hh);
            let mut x3 = difference(&square(&r).0, &hhh, &P8);
            for i in 0..5 { x3[i] = sub(x3[i], add(v.0[i], v.0[i])); }
            x = fold(x3);
            let y3 = difference(&mul(&r, &carry(difference(&v.0, &x, &P2))).0, &mul(&y, &hhh), &P4);
            y = fold(y3);
            z = mul(&z, &h);
        }
        let mut numbers = [[Number::ZERO; LANES]; 3];
        for (numbers, form) in numbers.iter_mut().zip([x, y, z]) {
            super::field::scatter(&super::field::join(&leave(&form)), numbers);
        }
        let [x, y, z] = numbers;
        let lanes = (0..LANES).map(|lane| Jacobian {
            x: FIELD.enter(&x[lane]),
            y: FIELD.enter(&y[lane]),
            z: FIELD.enter(&z[lane]),
        });
        lanes.map(|lane| (!lane.z.is_zero()).then_some(lane))
            .try_fold(Jacobian::INFINITY, |sum, lane| Some(sum.plus(&lane?)))
    }
}
}

const ALL_LANES: Mask = if LANES == 8 { 0xff } else { 1 };
