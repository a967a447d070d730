//! Where values come to lie, in the generator's order and by its rules. [`super::Plan`] asks it about the longest values,
//! [`super::Writer`] about those that there are: who has longer values before never comes to lie earlier.

use super::PAGE;
use super::page::{ENTRIES, ENTRY};
use super::value::Shape;

/// Chunks that a blob has at most: a device numbers them from 0 or from 128 (`VerOffset`).
const MOST_CHUNKS: u8 = 127;

/// Octets of a string at most, with the 0 at its end. NVS itself takes 4000; the generator leaves an entry of each page free
/// of strings, so it ends with an error from 3969 on.
pub(super) const LONGEST_TEXT: usize = (ENTRIES - 2) * ENTRY;

/// Why values cannot lie in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// All pages are taken.
    Full,
    /// A string is longer than [`LONGEST_TEXT`].
    LongText,
    /// A blob needs more than [`MOST_CHUNKS`] chunks.
    ManyChunks,
}

/// A place: the number of a page, and of an entry on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub page: usize,
    pub entry: usize,
}

impl Place {
    /// Its octet in the partition.
    pub fn offset(self) -> usize {
        self.page * PAGE + (self.entry + 2) * ENTRY
    }
}

/// A part of a value: an entry, and the entries with data that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Number,
    Text,
    /// The octets from here on, as many as this.
    Chunk {
        index: u8,
        from: usize,
        len: usize,
    },
    Index {
        chunks: u8,
    },
}

/// The place that is free next.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    next: Place,
    /// How many pages may be used.
    pages: usize,
}

impl Layout {
    /// Of a partition with so many octets. The last page stays free, for the device to move values to; a partition of less than three
    /// pages is for reading only and has none.
    pub fn new(size: usize) -> Self {
        Self {
            next: Place { page: 0, entry: 0 },
            pages: if is_read_only(size) {
                size / PAGE
            } else {
                size / PAGE - 1
            },
        }
    }

    /// How many pages are used.
    pub fn pages_used(&self) -> usize {
        self.next.page + 1
    }

    /// Lays a value, and tells of each of its parts where it is.
    pub fn lay(&mut self, shape: Shape, mut each: impl FnMut(Place, Part)) -> Result<(), Misfit> {
        match shape {
            Shape::Number => {
                if self.next.entry >= ENTRIES {
                    self.turn()?;
                }
                each(self.take(1), Part::Number);
                Ok(())
            }
            Shape::Text { octets } => {
                if octets > LONGEST_TEXT {
                    return Err(Misfit::LongText);
                }
                let span = 1 + octets.div_ceil(ENTRY);
                if self.next.entry + span >= ENTRIES {
                    self.turn()?;
                }
                each(self.take(span), Part::Text);
                Ok(())
            }
            Shape::Blob { octets } => self.lay_blob(octets, each),
        }
    }

    fn lay_blob(&mut self, octets: usize, mut each: impl FnMut(Place, Part)) -> Result<(), Misfit> {
        if self.next.entry >= ENTRIES {
            self.turn()?;
        }
        let (mut from, mut chunks) = (0, 0);
        loop {
            let room = (ENTRIES - self.next.entry - 1) * ENTRY;
            let len = room.min(octets - from);
            let part = Part::Chunk {
                index: chunks,
                from,
                len,
            };
            each(self.take(1 + len.div_ceil(ENTRY)), part);
            from += len;
            chunks += 1;
            if from < octets || room - len < ENTRY {
                self.turn()?;
            }
            if from == octets {
                each(self.take(1), Part::Index { chunks });
                return Ok(());
            }
            if chunks == MOST_CHUNKS {
                return Err(Misfit::ManyChunks);
            }
        }
    }

    fn take(&mut self, entries: usize) -> Place {
        let place = self.next;
        self.next.entry += entries;
        place
    }

    fn turn(&mut self) -> Result<(), Misfit> {
        self.next = Place {
            page: self.next.page + 1,
            entry: 0,
        };
        match self.next.page < self.pages {
            true => Ok(()),
            false => Err(Misfit::Full),
        }
    }
}

/// Whether a partition is so small that devices only read it; its image ends with the last page that is used.
pub(super) fn is_read_only(size: usize) -> bool {
    size < 3 * PAGE
}
