//! The allocator of the C library: where its functions are, what is asked of them, and the blocks that they gave.

use std::collections::BTreeMap;
use std::process::Command;

use iced_x86::Register;

/// The functions of the C library that give and take memory, by their addresses.
pub type Allocator = BTreeMap<u64, Call>;

/// A call of the allocator: which of its arguments say how much, and where it puts the block.
#[derive(Clone, Copy)]
pub struct Call {
    pub name: &'static str,
    pub sizes: &'static [Register],
    pub gives: Gives,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Gives {
    Nothing,
    Returned,
    /// Where the first argument points to.
    Written,
}

const CALLS: [Call; 6] = {
    use Register::{RDI, RDX, RSI};
    const fn call(name: &'static str, sizes: &'static [Register], gives: Gives) -> Call {
        Call { name, sizes, gives }
    }
    [
        call("malloc", &[RDI], Gives::Returned),
        call("calloc", &[RDI, RSI], Gives::Returned),
        call("realloc", &[RSI], Gives::Returned),
        call("aligned_alloc", &[RDI, RSI], Gives::Returned),
        call("posix_memalign", &[RSI, RDX], Gives::Written),
        call("free", &[], Gives::Nothing),
    ]
};

/// Where the C library of a process has its allocator.
pub fn allocator_of(maps: &str) -> Allocator {
    let library = maps
        .lines()
        .find(|line| line.contains("/libc.so") || line.contains("/libc-2"));
    let Some((library, (start, _))) =
        library.and_then(|line| Some((line.split(' ').next_back()?, line.split_once('-')?)))
    else {
        return Allocator::new();
    };
    let start = u64::from_str_radix(start, 16).expect("a mapping begins with its address");
    let names = Command::new("nm")
        .args(["-D", "--defined-only", library])
        .output()
        .expect("there is nm");
    let names = String::from_utf8(names.stdout).expect("names are text");
    let places = names.lines().filter_map(|line| {
        let (place, name) = line.split_once(' ')?;
        let name = name.split_once(' ')?.1.split('@').next()?;
        let call = CALLS.iter().find(|call| call.name == name)?;
        Some((start + u64::from_str_radix(place, 16).ok()?, *call))
    });
    places.collect()
}

/// Blocks that the allocator gave to both since the comparison began: where each lies in the first, how long it is, and how
/// much further on it lies in the second.
#[derive(Default)]
pub struct Blocks(BTreeMap<u64, (u64, u64)>);

impl Blocks {
    pub fn put(&mut self, places: [u64; 2], length: u64) {
        let end = places[0].saturating_add(length);
        // What lay there was given back.
        let over: Vec<u64> = self
            .0
            .range(..end)
            .rev()
            .take_while(|(place, (length, _))| *place + length > places[0])
            .map(|(place, _)| *place)
            .collect();
        for place in over {
            self.0.remove(&place);
        }
        self.0
            .insert(places[0], (length, places[1].wrapping_sub(places[0])));
    }

    /// Whether two addresses are the same place of one block.
    pub fn have(&self, address: u64, distance: u64) -> bool {
        let block = self.0.range(..=address).next_back();
        block.is_some_and(|(place, (length, apart))| address <= place + length && *apart == distance)
    }
}
