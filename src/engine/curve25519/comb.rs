//! Products of many secrets with the same two points: by combs without doublings, eight at a time, and one inversion for
//! all.

use super::super::table::{BITS, MULTIPLES, ROWS, Row, WINDOW_ROWS, WINDOWS, Window};
use super::edwards::{
    Addend, Point, add, add_mixed, addend, either, identity, lift, montgomery, negate, spread, twice_d,
};
use super::field::{
    Element, constant, gather, invert, is_zero, join, lane, leave, minus, mul, scatter, small, split,
};
use super::word::{
    self, LANES, Mask, Word, and, choose, is_zero as is_zero_word, left_by, or, pick, right_by, splat, xor,
};

/// Secrets of a job at most.
pub const GROUP: usize = 256;

/// What is worked with: numerators and denominators of the results, and products of denominators. It holds secrets until
/// it is wiped.
pub struct Work {
    numerators: Vec<Element>,
    denominators: Vec<Element>,
    before: Vec<Element>,
    /// How many there are.
    count: usize,
}

/// A comb without what proves it.
pub type Made = (Vec<Window>, [[u64; 5]; 4]);

/// A comb, as it is read.
pub type Read<'a> = (&'a [Window], &'a [[u64; 5]; 4]);

features! {
impl Work {
    /// For [`GROUP`] secrets.
    pub fn new() -> Self {
        let nothing = vec![small(0); 2 * (GROUP / LANES + 1)];
        Self { numerators: nothing.clone(), denominators: nothing.clone(), before: nothing, count: 0 }
    }

    fn push(&mut self, point: &Point) {
        (self.numerators[self.count], self.denominators[self.count]) = montgomery(point);
        self.count += 1;
    }

    /// Divides all by one inversion (Montgomery): numerators become quotients, below p. False when a denominator was 0, or a
    /// quotient is wrong.
    #[inline(never)]
    fn divide(&mut self) -> bool {
        let mut product = small(1);
        for i in 0..self.count {
            self.before[i] = product;
            product = mul(&product, &self.denominators[i]);
        }
        let mut wrong = is_zero(&product);
        let mut inverse = invert(&product);
        for i in (0..self.count).rev() {
            let quotient = leave(&mul(&self.numerators[i], &mul(&inverse, &self.before[i])));
            inverse = mul(&inverse, &self.denominators[i]);
            wrong |= word::ALL ^ is_zero(&minus(&mul(&quotient, &self.denominators[i]), &self.numerators[i]));
            self.numerators[i] = quotient;
        }
        wrong == 0
    }

    /// Leaves nothing of what it held.
    pub fn wipe(&mut self) {
        for elements in [&mut self.numerators, &mut self.denominators, &mut self.before] {
            elements[..self.count].fill(small(0));
            zeroize::optimization_barrier(elements.as_slice());
        }
        self.count = 0;
    }
}
}

features! {
/// Makes the comb of a point by its u, which is public. `None` when it is on the twist, or of small order.
#[inline(never)]
pub fn make(u: &[u8; 32]) -> Option<Made> {
    let d2 = twice_d();
    let mut same = [[0; 32]; LANES];
    same.fill(*u);
    let point = lift(&split(&gather(&same)))?;
    let twice = add(&point, &point, &d2);
    let first = add(&twice, &twice, &d2);
    if is_zero(&add(&first, &first, &d2).x) != 0 { return None; }
    let mut multiples = Vec::with_capacity(WINDOWS * MULTIPLES / LANES);
    let mut base = first;
    for _ in 0..WINDOWS {
        let double = add(&base, &base, &d2);
        // The first multiples, one in each lane; and how far it is from those to the next.
        let (mut odd, mut multiple) = (base, base);
        for at in 1..LANES {
            multiple = add(&multiple, &double, &d2);
            odd = either(1 << at, &multiple, &odd);
        }
        let mut step = double;
        for _ in 0..LANES.ilog2() { step = add(&step, &step, &d2); }
        for _ in 0..MULTIPLES / LANES {
            multiples.push(odd);
            odd = add(&odd, &step, &d2);
        }
        for _ in 0..BITS { base = add(&base, &base, &d2); }
    }
    let start = add(&base, &negate(&first), &d2);
    let start = [&start.x, &start.y, &start.z, &start.t].map(|element| lane(&leave(element), 0));
    Some((tabulate(&multiples, &d2), start))
}

/// Writes multiples into rows, with one inversion for all (Montgomery).
#[inline(never)]
fn tabulate(multiples: &[Point], d2: &Element) -> Vec<Window> {
    let mut product = small(1);
    let mut before = Vec::with_capacity(multiples.len());
    for multiple in multiples {
        before.push(product);
        product = mul(&product, &multiple.z);
    }
    let mut inverse = invert(&product);
    let mut windows = vec![[Row([0; 8]); WINDOW_ROWS]; WINDOWS];
    for (i, multiple) in multiples.iter().enumerate().rev() {
        let Addend { sum, difference, product } = addend(multiple, &mul(&inverse, &before[i]), d2);
        inverse = mul(&inverse, &multiple.z);
        let (window, at) = (i * LANES / MULTIPLES, i * LANES % MULTIPLES);
        for (coordinate, element) in [sum, difference, product].iter().enumerate() {
            for (limb, word) in element.0.iter().enumerate() {
                let row = &mut windows[window][(5 * coordinate + limb) * ROWS + at / 8];
                row.0[at % 8..][..LANES].copy_from_slice(&word::store(*word));
            }
        }
    }
    windows
}

/// Clamps secrets (RFC 7748, 5), and leaves out the three lowest bits.
#[inline]
fn clamp(secret: &[Word; 4]) -> [Word; 4] {
    let high = or(and(secret[3], splat((1 << 62) - 1)), splat(1 << 62));
    let of = |word, next| or(right_by(word, 3), left_by(next, 61));
    [of(secret[0], secret[1]), of(secret[1], secret[2]), of(secret[2], high), right_by(high, 3)]
}

/// A window of the bits: which of the multiples it is, and whether it is negative.
#[inline]
fn digit(bits: &[Word; 4], window: usize) -> (Word, Mask) {
    let from = BITS * window;
    let (limb, shift) = (from / 64, (from % 64) as u64);
    let mut digit = right_by(bits[limb], shift);
    if let Some(next) = bits.get(limb + 1) { digit = or(digit, left_by(*next, 64 - shift)); }
    let below = splat(MULTIPLES as u64 - 1);
    let negative = is_zero_word(and(digit, splat(MULTIPLES as u64)));
    (and(choose(negative, xor(digit, below), digit), below), negative)
}

/// The products of a word of clamped secrets.
#[inline(never)]
fn multiply((windows, start): Read<'_>, bits: &[Word; 4]) -> Point {
    let [x, y, z, t] = start.each_ref().map(|limbs| constant(limbs));
    let mut point = Point { x, y, z, t };
    for (i, window) in windows.iter().enumerate() {
        let (index, negative) = digit(bits, i);
        let (coordinates, _) = window.as_chunks::<{ 5 * ROWS }>();
        let [sum, difference, product]: &[[Row; 5 * ROWS]; 3] = coordinates.try_into().expect("there are three");
        let addend = Addend {
            sum: Element(pick(sum, index)),
            difference: Element(pick(difference, index)),
            product: Element(pick(product, index)),
        };
        point = add_mixed(&point, &addend, negative);
    }
    point
}

/// The sum of the points in all lanes, in each of them.
#[inline(never)]
fn sum_of_lanes(sums: &Point, d2: &Element) -> Point {
    let mut total = spread(sums, 0);
    for at in 1..LANES { total = add(&total, &spread(sums, at), d2); }
    total
}

/// Multiplies secrets, clamped, by the points of two combs: the u of each product. `sums` become those of the sums of all
/// products, with those of the secrets of zeros that fill the last word. False when there is no result, which no secret
/// can bring about, or when a result is not the point's.
#[inline(never)]
pub fn multiply_all(work: &mut Work, combs: [Read<'_>; 2], secrets: &[[u8; 32]], results: [&mut [[u8; 32]]; 2], sums: &mut [[u8; 32]; 2]) -> bool {
    let d2 = twice_d();
    let words = secrets.len().div_ceil(LANES);
    work.count = 0;
    let mut totals = [identity(), identity()];
    for secrets in secrets.chunks(LANES) {
        let bits = clamp(&gather(secrets));
        for (comb, total) in combs.iter().zip(&mut totals) {
            let point = multiply(*comb, &bits);
            *total = add(total, &point, &d2);
            work.push(&point);
        }
    }
    for total in &totals { work.push(&sum_of_lanes(total, &d2)); }
    if !work.divide() { return false; }
    let [first, second] = results;
    for (i, (first, second)) in first.chunks_mut(LANES).zip(second.chunks_mut(LANES)).enumerate() {
        scatter(&join(&work.numerators[2 * i]), first);
        scatter(&join(&work.numerators[2 * i + 1]), second);
    }
    for (i, sum) in sums.iter_mut().enumerate() {
        scatter(&join(&work.numerators[2 * words + i]), std::slice::from_mut(sum));
    }
    true
}
}
