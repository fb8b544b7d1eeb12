//! The writer dies at every single step, one after the other; readers lose nothing committed.

use crate::error::RingError;
use crate::heap::HeapMemory;
use crate::layout::{Geometry, HEADER_SIZE};
use crate::memory::MemoryMut;
use crate::reader::Reader;
use crate::writer::{Stamp, Writer};

const GEOMETRY: Geometry = Geometry { capacity: 1024, index_entries: 18, schema_len: 0 };

/// Sizes that fill the ring, wrap with a filler, and once take nearly all of it.
const PAYLOADS: [usize; 9] = [8, 200, 64, 300, 8, 500, 120, 900, 64];

fn payload(sequence: u64, len: usize) -> Vec<u8> {
    (0..len).map(|byte| (sequence as usize * 31 + byte) as u8).collect()
}

fn append<M: MemoryMut>(writer: &mut Writer<M>) -> u64 {
    let sequence = writer.next_sequence();
    let bytes = payload(sequence, PAYLOADS[sequence as usize % PAYLOADS.len()]);
    let slot = writer.reserve(bytes.len() as u64).unwrap();
    writer.fill(&slot, 0, &bytes).unwrap();
    let nanos = sequence as i64 * 10;
    writer
        .commit(slot, Stamp { first_nanos: nanos, last_nanos: nanos, rows: 3, heartbeat_nanos: 1 })
}

/// Reads everything that is left and compares it; returns how many records there are.
fn check_all(memory: std::sync::Arc<HeapMemory>) -> u64 {
    let reader = Reader::new(memory, GEOMETRY);
    let (oldest, next) = (reader.oldest_sequence(), reader.next_sequence());
    assert!(oldest <= next);
    for sequence in oldest..next {
        let (frame, bytes) = reader.read(sequence).unwrap();
        assert_eq!(frame.first_row, sequence * 3);
        assert_eq!(bytes, payload(sequence, PAYLOADS[sequence as usize % PAYLOADS.len()]));
        assert_eq!(reader.find(sequence as i64 * 10).unwrap(), sequence);
    }
    assert!(matches!(reader.read(next), Err(RingError::NotYetWritten { .. })));
    if oldest > 0 {
        let lost = reader.read(oldest - 1).unwrap_err();
        let RingError::Overrun { lost_records, lost_rows, resume_at } = lost else {
            panic!("{lost}")
        };
        assert_eq!((lost_records, lost_rows, resume_at), (1, Some(3), oldest));
    }
    assert_eq!(reader.statistics().unwrap().rows, next * 3);
    next
}

#[test]
fn a_writer_that_dies_at_any_step_leaves_what_it_committed() {
    for warm_up in 0..20 {
        for steps in 0.. {
            let memory = HeapMemory::new(&GEOMETRY);
            let mut writer = Writer::new(std::sync::Arc::clone(&memory), GEOMETRY);
            for _ in 0..warm_up {
                append(&mut writer);
            }
            memory.die_after(steps);
            append(&mut writer);
            let (dead, next) = (memory.is_dead(), check_all(std::sync::Arc::clone(&memory)));
            assert!(next == warm_up || (next == warm_up + 1));
            if !dead {
                assert_eq!(next, warm_up + 1);
                break;
            }
        }
    }
}

#[test]
fn a_record_of_the_whole_ring_fits_and_a_longer_one_is_refused() {
    let memory = HeapMemory::new(&GEOMETRY);
    let mut writer = Writer::new(memory, GEOMETRY);
    append(&mut writer);
    let whole = GEOMETRY.capacity - 64;
    let slot = writer.reserve(whole).unwrap();
    assert_eq!(slot.payload_at(), HEADER_SIZE + 64);
    writer.commit(slot, Stamp { first_nanos: 0, last_nanos: 0, rows: 1, heartbeat_nanos: 0 });
    assert!(matches!(writer.reserve(whole + 1), Err(RingError::TooLarge { .. })));
    assert!(matches!(writer.reserve(u64::MAX), Err(RingError::TooLarge { .. })));
}
