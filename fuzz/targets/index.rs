//! The index of a chunk, and a part of the lookup; what is taken for an index is written and read again.
#![cfg_attr(fuzzing, no_main)]

use certforge::batch::{Candidates, Layout, Shape, parse_index, read_index, write_index};
use certforge::manifest::DeviceId;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

pub fn run(octets: &[u8]) {
    let rows = parse_index(octets).map_or(0, |rows| rows.len() as u64);
    let shape = Shape {
        rows,
        chunk_rows: 8192,
    };
    for layout in [Layout::Objects, Layout::Packs] {
        if let Ok(entries) = read_index(octets, 0, shape, layout) {
            let written = write_index(layout, 0, &entries);
            assert_eq!(
                read_index(&written, 0, shape, layout).expect("it was written"),
                entries
            );
        }
    }
    let device_id = DeviceId::parse("SN000001").expect("an id");
    let _ = Candidates::find(octets, 0, &device_id);
}
