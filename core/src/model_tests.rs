//! The ring against a deque that keeps records by the same rule, and nothing else.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use crate::error::RingError;
use crate::heap::HeapMemory;
use crate::layout::{ALIGNMENT, FRAME_SIZE, Geometry};
use crate::reader::Reader;
use crate::writer::{Stamp, Writer};

const CAPACITY: u64 = 2048;
/// Beginnings near numbers at which careless readers of other languages break.
const BEGINNINGS: [u64; 4] = [0, (1 << 32) - 2, (1 << 53) - 2, (1 << 63) - 2];

#[derive(Debug, Clone)]
enum Step {
    Append { len: usize, rows: u64, nanos: i64 },
    Read { back: u64 },
    Find { nanos: i64 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..1900, 0u64..9, -5i64..200)
            .prop_map(|(len, rows, nanos)| Step::Append { len, rows, nanos }),
        2 => (0u64..12).prop_map(|back| Step::Read { back }),
        1 => (-9i64..210).prop_map(|nanos| Step::Find { nanos }),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug)]
struct Kept {
    sequence: u64,
    start: u64,
    first_row: u64,
    rows: u64,
    newest_nanos: i64,
    payload: Vec<u8>,
}

struct Model {
    kept: VecDeque<Kept>,
    /// Rows before each record ever written.
    rows_before: Vec<u64>,
    /// The latest time of all records ever written.
    newest_nanos: i64,
    head: u64,
    begin: u64,
}

impl Model {
    fn next(&self) -> u64 {
        self.begin + self.rows_before.len() as u64 - 1
    }

    fn oldest(&self) -> u64 {
        self.kept.front().map_or(self.next(), |record| record.sequence)
    }

    fn rows_before(&self, sequence: u64) -> u64 {
        self.rows_before[(sequence - self.begin) as usize]
    }

    fn append(&mut self, payload: Vec<u8>, rows: u64, nanos: i64) {
        let length = (FRAME_SIZE + payload.len()).next_multiple_of(ALIGNMENT as usize) as u64;
        let left = CAPACITY - self.head % CAPACITY;
        let start = if length > left { self.head + left } else { self.head };
        self.head = start + length;
        let gone = |record: &Kept| record.start + CAPACITY < start + length;
        while self.kept.front().is_some_and(gone) {
            self.kept.pop_front();
        }
        self.newest_nanos = self.newest_nanos.max(nanos);
        let newest_nanos = self.newest_nanos;
        let (sequence, first_row) = (self.next(), *self.rows_before.last().unwrap());
        self.rows_before.push(first_row + rows);
        self.kept.push_back(Kept { sequence, start, first_row, rows, newest_nanos, payload });
    }

    fn find(&self, nanos: i64) -> u64 {
        let late = self.kept.iter().find(|record| record.newest_nanos >= nanos);
        late.map_or(self.next(), |record| record.sequence)
    }
}

fn check_read(reader: &Reader<Arc<HeapMemory>>, model: &Model, sequence: u64) {
    let found = reader.read(sequence);
    if sequence >= model.next() {
        let next = model.next();
        assert!(matches!(found, Err(RingError::NotYetWritten { next: n, .. }) if n == next));
    } else if sequence < model.oldest() {
        let Err(RingError::Overrun { lost_records, lost_rows, resume_at }) = found else {
            panic!("{found:?}")
        };
        assert_eq!(resume_at, model.oldest());
        assert_eq!(lost_records, resume_at - sequence);
        let lost = model.rows_before(resume_at) - model.rows_before(sequence);
        assert_eq!(lost_rows, Some(lost));
    } else {
        let wanted = model.kept.iter().find(|record| record.sequence == sequence).unwrap();
        let (frame, payload) = found.unwrap();
        assert_eq!((frame.sequence, frame.rows), (sequence, wanted.rows));
        assert_eq!(frame.first_row, wanted.first_row);
        assert_eq!(payload, wanted.payload);
    }
}

fn check_statistics(reader: &Reader<Arc<HeapMemory>>, model: &Model) {
    let found = reader.statistics().unwrap();
    assert_eq!(found.next_sequence, model.next());
    assert_eq!(found.oldest_sequence, model.oldest());
    assert_eq!(found.rows, *model.rows_before.last().unwrap());
}

fn run(begin: u64, steps: Vec<Step>) {
    // Few entries, so that the index wraps often; enough for a ring full of empty records.
    let index_entries = CAPACITY / FRAME_SIZE as u64 + 2;
    let geometry = Geometry { capacity: CAPACITY, index_entries, schema_len: 0 };
    let memory = HeapMemory::new(&geometry);
    let head = begin / ALIGNMENT * ALIGNMENT;
    let mut writer = Writer::starting_at(Arc::clone(&memory), geometry, begin, head, begin);
    let mut reader = Reader::new(Arc::clone(&memory), geometry);
    let (kept, newest_nanos) = (VecDeque::new(), i64::MIN);
    let mut model = Model { kept, rows_before: vec![begin], newest_nanos, head, begin };
    for step in steps {
        match step {
            Step::Append { len, rows, nanos } => {
                let payload: Vec<u8> = (0..len).map(|byte| (byte as u64 + rows) as u8).collect();
                let slot = writer.reserve(len as u64).unwrap();
                writer.fill(&slot, 0, &payload).unwrap();
                let stamp =
                    Stamp { first_nanos: nanos, last_nanos: nanos, rows, heartbeat_nanos: 0 };
                assert_eq!(writer.commit(slot, stamp), model.next());
                model.append(payload, rows, nanos);
            }
            Step::Read { back } => {
                let sequence = (model.next() + 2).saturating_sub(back).max(begin);
                check_read(&reader, &model, sequence);
            }
            Step::Find { nanos } => {
                assert_eq!(reader.find(nanos).unwrap(), model.find(nanos));
            }
            Step::Reopen => reader = Reader::new(Arc::clone(&memory), geometry),
        }
        check_statistics(&reader, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ring_does_what_the_deque_does(
        begin in prop::sample::select(&BEGINNINGS[..]),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        run(begin, steps);
    }
}
