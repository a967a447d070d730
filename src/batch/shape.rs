//! The shape of a batch: how many rows it has, and in which chunks they are.

/// Rows, and rows of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub rows: u64,
    pub chunk_rows: u64,
}

/// Most rows of a chunk: keeps packs below 4 GiB and a worker's memory bounded.
pub const MAX_CHUNK_ROWS: usize = 8192;

/// So many chunks a batch has at most: what counts them by name ends in a moment, whoever wrote the number of rows.
pub(super) const MOST_CHUNKS: u64 = 1 << 20;

impl Shape {
    /// Whether the numbers are such as a forge writes.
    #[must_use]
    pub fn is_sound(self) -> bool {
        (1..=u64::from(u32::MAX)).contains(&self.rows)
            && (1..=MAX_CHUNK_ROWS as u64).contains(&self.chunk_rows)
            && self.chunks() <= MOST_CHUNKS
    }

    /// Chunks, counted from 0; the last one may be shorter.
    #[must_use]
    pub fn chunks(self) -> u64 {
        self.rows.div_ceil(self.chunk_rows.max(1))
    }

    /// The number that stands for a chunk which is not known: no chunk has it. A ledger that was rebuilt has attempts of which it
    /// knows the batch and not the chunk.
    #[must_use]
    pub fn unknown_chunk(self) -> u64 {
        self.chunks()
    }

    /// Rows of a chunk; none of one that is not there.
    #[must_use]
    pub fn rows_of(self, chunk: u64) -> u64 {
        let first = chunk.saturating_mul(self.chunk_rows);
        self.rows.saturating_sub(first).min(self.chunk_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_chunk() {
        for (rows, chunk_rows, chunks, last) in [(1, 4096, 1, 1), (8192, 4096, 2, 4096), (8193, 4096, 3, 1)] {
            let shape = Shape { rows, chunk_rows };
            assert_eq!(shape.chunks(), chunks);
            assert_eq!(shape.rows_of(chunks - 1), last);
            assert_eq!(shape.rows_of(chunks), 0);
            assert_eq!((0..chunks).map(|chunk| shape.rows_of(chunk)).sum::<u64>(), rows);
        }
    }
}
