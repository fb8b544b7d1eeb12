//! The writer dies at each of its steps, while a reader reads or sleeps, in every order.
//!
//! From its death on, nothing of what it stores arrives. Readers keep what was committed, skip
//! nothing, and wait for nothing.

use std::cell::Cell;
use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use crate::error::RingError;
use crate::layout::Geometry;
use crate::loom_memory::{GEOMETRY, LoomMemory, WITH_FILLER};
use crate::loom_tests::{append, assert_read_is_true, check, rows_before};
use crate::memory::{Memory, MemoryMut};
use crate::reader::Reader;
use crate::sync::{AtomicU32, Ordering};
use crate::wake::{Bell, ring_bell, wait_once};
use crate::writer::Writer;

/// More steps than an append has, so that the last writer lives.
const STEPS: u64 = 24;

/// Memory that takes so many more steps of its writer.
struct Dying {
    memory: Arc<LoomMemory>,
    steps_left: Cell<u64>,
}

impl Dying {
    fn may_step(&self) -> bool {
        let left = self.steps_left.get();
        self.steps_left.set(left.saturating_sub(1));
        left > 0
    }
}

impl Memory for Dying {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.memory.load(at, order)
    }

    fn copy_out(&self, at: usize, into: &mut [u8]) {
        self.memory.copy_out(at, into);
    }
}

impl MemoryMut for Dying {
    fn store(&self, at: usize, value: u64, order: Ordering) {
        if self.may_step() {
            self.memory.store(at, value, order);
        }
    }

    fn copy_in(&self, at: usize, from: &[u8]) {
        // A copy may end between any two of its pieces.
        for (index, piece) in from.chunks(crate::loom_memory::CHUNK).enumerate() {
            if self.may_step() {
                self.memory.copy_in(at + index * crate::loom_memory::CHUNK, piece);
            }
        }
    }
}

/// A ring whose writer has committed `records`, and dies after so many more steps.
fn dying(geometry: Geometry, records: u64, steps: u64) -> (Arc<LoomMemory>, Writer<Dying>) {
    let memory = LoomMemory::new(geometry);
    let dying = Dying { memory: Arc::clone(&memory), steps_left: Cell::new(u64::MAX) };
    let mut writer = Writer::new(dying, geometry);
    for _ in 0..records {
        append(&mut writer);
    }
    writer.memory().steps_left.set(steps);
    (memory, writer)
}

/// After the death: all that was committed and not given up is there, and its counts are right.
fn check_what_is_left(reader: &Reader<Arc<LoomMemory>>, committed: u64) {
    let (oldest, next) = (reader.oldest_sequence(), reader.next_sequence());
    assert!(next == committed || next == committed + 1);
    for sequence in 0..oldest {
        assert_read_is_true(reader, sequence);
    }
    for sequence in oldest..next {
        let (frame, _) = reader.read(sequence).unwrap();
        assert_eq!((frame.sequence, frame.first_row), (sequence, rows_before(sequence)));
        assert_eq!(reader.find(sequence as i64).unwrap(), sequence);
    }
    assert!(matches!(reader.read(next), Err(RingError::NotYetWritten { .. })));
    assert_eq!(reader.statistics().unwrap().rows, rows_before(next));
}

fn die_while_somebody_reads(geometry: Geometry) {
    for steps in 0..STEPS {
        check(move || {
            let (memory, mut writer) = dying(geometry, 2, steps);
            let reader = Reader::new(memory, geometry);
            let writing = thread::spawn(move || append(&mut writer));
            assert_read_is_true(&reader, 0);
            assert_read_is_true(&reader, 2);
            writing.join().unwrap();
            check_what_is_left(&reader, 2);
            assert!(steps + 1 < STEPS || reader.next_sequence() == 3, "an append has more steps");
        });
    }
}

#[test]
fn loom_a_writer_that_dies_while_it_laps_leaves_what_it_committed() {
    die_while_somebody_reads(GEOMETRY);
}

#[test]
fn loom_a_writer_that_dies_at_the_wrap_leaves_what_it_committed() {
    die_while_somebody_reads(WITH_FILLER);
}

/// A bell that nobody may ring any more: each sleep ends by its timeout.
struct Timeouts(AtomicU32);

impl Bell for Timeouts {
    fn word(&self) -> &AtomicU32 {
        &self.0
    }

    fn sleep(&self, _: u32, _: Duration) {
        thread::yield_now();
    }

    fn wake_one(&self) {}

    fn wake_all(&self) {}
}

#[test]
fn loom_a_sleeper_finds_what_a_dead_writer_committed() {
    for steps in 0..STEPS {
        check(move || {
            let (memory, mut writer) = dying(GEOMETRY, 0, steps);
            let reader = Reader::new(memory, GEOMETRY);
            let bell = Arc::new(Timeouts(AtomicU32::new(0)));
            let ringing = Arc::clone(&bell);
            let writing = thread::spawn(move || {
                append(&mut writer);
                if writer.memory().steps_left.get() > 0 {
                    ring_bell(&*ringing);
                }
            });
            if wait_once(&reader, &*bell, 0, Duration::MAX) {
                assert_read_is_true(&reader, 0);
            }
            writing.join().unwrap();
            // One more look, which is what the timeout leads to, tells all there is to tell.
            let due = wait_once(&reader, &*bell, 0, Duration::MAX);
            assert_eq!(due, reader.next_sequence() == 1);
            check_what_is_left(&reader, 0);
        });
    }
}
