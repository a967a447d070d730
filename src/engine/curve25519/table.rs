//! The tables of combs: plain numbers, whichever words they are made and read by.

/// Bits of a window, and windows of the 252 bits that a secret has beside its clamping.
pub const BITS: usize = 6;
pub const WINDOWS: usize = 252 / BITS;

/// Multiples of a window: the positive odd ones.
pub const MULTIPLES: usize = 1 << (BITS - 1);

/// Rows of a limb of a window, and of a window: three coordinates of five limbs.
pub const ROWS: usize = MULTIPLES / 8;
pub const WINDOW_ROWS: usize = 3 * 5 * ROWS;

/// A row of a table, as a register of eight words has it.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Row(pub [u64; 8]);

/// A window: of each coordinate (y + x, y - x, 2 d x y) the five limbs one after the other, of each limb the multiples in
/// order.
pub type Window = [Row; WINDOW_ROWS];

/// The comb of a point R: for window i the multiples (2j+1) 2^(6i) of 4 R, and (2^252 - 1) 4 R, with which every sum
/// begins.
///
/// A clamped secret is 8 k, where k has 252 bits b. 2 k is the sum of (2b - 1) 2^i over its bits, and 2^252 - 1. So 8 k R is
/// the sum of a multiple of 4 R for each window, which is odd, and never nothing, whatever the bits are; and there is
/// nothing to be carried from window to window. It is right for any R, because 8 R has no part of small order.
pub struct Comb {
    pub windows: Vec<Window>,
    /// X, Y, Z and T.
    pub start: [[u64; 5]; 4],
    /// The point itself, by which products are proven.
    pub point: [u8; 32],
}
