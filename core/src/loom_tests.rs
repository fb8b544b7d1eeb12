//! The protocol under loom: every order in which a writer's and a reader's steps can meet.

use loom::sync::Arc;
use loom::thread;

use crate::error::RingError;
use crate::frame::Frame;
use crate::layout::{FRAME_SIZE, Geometry, READ_TAIL_AT, WRITE_HEAD_AT};
use crate::loom_memory::{CHUNK, GEOMETRY, LoomMemory, WITH_FILLER};
use crate::memory::{Memory, MemoryMut};
use crate::reader::Reader;
use crate::sync::{Ordering, fence};
use crate::writer::{Stamp, Writer};

/// Every order of the steps.
pub fn check(test: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.max_branches = 100_000;
    model.check(test);
}

/// Every order with so many preemptions at most, where all of them are too many.
pub fn check_up_to(preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(preemptions));
    model.max_branches = 100_000;
    model.check(test);
}

/// Each record has one row more than the one before, so that lost rows tell which were lost.
pub fn rows_before(sequence: u64) -> u64 {
    (0..sequence).map(|s| s + 1).sum()
}

pub fn append<M: MemoryMut>(writer: &mut Writer<M>) {
    append_chunks(writer, 1);
}

fn append_chunks<M: MemoryMut>(writer: &mut Writer<M>, chunks: usize) {
    let sequence = writer.next_sequence();
    let payload = vec![sequence as u8 + 1; chunks * CHUNK];
    let slot = writer.reserve(payload.len() as u64).unwrap();
    writer.fill(&slot, 0, &payload).unwrap();
    let nanos = sequence as i64;
    let stamp =
        Stamp { first_nanos: nanos, last_nanos: nanos, rows: sequence + 1, heartbeat_nanos: 0 };
    assert_eq!(writer.commit(slot, stamp), sequence);
}

pub type Written = (Arc<LoomMemory>, Writer<Arc<LoomMemory>>);

pub fn written(records: u64) -> Written {
    written_into(GEOMETRY, records)
}

fn written_into(geometry: Geometry, records: u64) -> Written {
    let memory = LoomMemory::new(geometry);
    let mut writer = Writer::new(Arc::clone(&memory), geometry);
    for _ in 0..records {
        append(&mut writer);
    }
    (memory, writer)
}

pub fn assert_read_is_true<M: Memory>(reader: &Reader<M>, sequence: u64) {
    match reader.read(sequence) {
        Ok((frame, payload)) => {
            assert_eq!((frame.sequence, frame.rows), (sequence, sequence + 1));
            assert_eq!(frame.first_row, rows_before(sequence));
            assert_eq!(payload, vec![sequence as u8 + 1; payload.len()]);
        }
        Err(RingError::Overrun { lost_records, lost_rows, resume_at }) => {
            assert_eq!(resume_at - sequence, lost_records);
            assert!(lost_records > 0);
            assert_eq!(lost_rows, Some(rows_before(resume_at) - rows_before(sequence)));
        }
        Err(RingError::NotYetWritten { next, .. }) => assert!(next <= sequence),
        Err(other) => panic!("record {sequence}: {other}"),
    }
}

#[test]
fn loom_a_read_record_is_whole_or_counted_as_lost() {
    check(|| {
        let (memory, mut writer) = written(2);
        let reader = Reader::new(memory, GEOMETRY);
        let writing = thread::spawn(move || append(&mut writer));
        assert_read_is_true(&reader, 0);
        assert_read_is_true(&reader, 2);
        writing.join().unwrap();
        assert_read_is_true(&reader, 1);
    });
}

#[test]
fn loom_a_reader_that_is_lapped_twice_still_counts() {
    check(|| {
        let (memory, mut writer) = written(1);
        let reader = Reader::new(memory, GEOMETRY);
        let writing = thread::spawn(move || {
            append(&mut writer);
            append(&mut writer);
        });
        assert_read_is_true(&reader, 0);
        writing.join().unwrap();
    });
}

#[test]
fn loom_a_view_that_was_verified_was_whole() {
    check(|| {
        let (memory, mut writer) = written(2);
        let reader = Reader::new(memory, GEOMETRY);
        let located = reader.locate(0).unwrap();
        let writing = thread::spawn(move || append(&mut writer));
        let mut seen = [0; CHUNK];
        reader.copy_payload(&located, &mut seen);
        if reader.verify(&located).is_ok() {
            assert_eq!(seen, [1; CHUNK]);
        }
        writing.join().unwrap();
    });
}

#[test]
fn loom_statistics_agree_with_each_other() {
    check(|| {
        let (memory, mut writer) = written(1);
        let reader = Reader::new(memory, GEOMETRY);
        let writing = thread::spawn(move || append(&mut writer));
        let found = reader.statistics().unwrap();
        assert_eq!(found.rows, rows_before(found.next_sequence));
        assert_eq!(found.last_nanos, Some(found.next_sequence as i64 - 1));
        writing.join().unwrap();
    });
}

#[test]
fn loom_a_time_is_found_while_the_writer_laps() {
    check(|| {
        let (memory, mut writer) = written(2);
        let reader = Reader::new(memory, GEOMETRY);
        let writing = thread::spawn(move || append(&mut writer));
        let found = reader.find(1).unwrap();
        assert!(found == 1 || found == reader.oldest_sequence());
        writing.join().unwrap();
    });
}

#[test]
fn loom_an_index_entry_that_is_rewritten_is_not_mixed() {
    check(|| {
        let (memory, mut writer) = written(4);
        let reader = Reader::new(memory, GEOMETRY);
        let writing = thread::spawn(move || append(&mut writer));
        let found = reader.rows_before(1);
        assert!(found.is_none() || found == Some(rows_before(1)), "{found:?}");
        let newest = reader.rows_before(5);
        assert!(newest.is_none() || newest == Some(rows_before(5)), "{newest:?}");
        writing.join().unwrap();
    });
}

#[test]
fn loom_the_last_record_before_the_end_is_seen() {
    check(|| {
        let (memory, mut writer) = written(0);
        let reader = Reader::new(memory, GEOMETRY);
        let reading = thread::spawn(move || {
            if reader.is_closed() {
                assert_eq!(reader.next_sequence(), 1);
                assert_read_is_true(&reader, 0);
            }
        });
        append(&mut writer);
        writer.close();
        reading.join().unwrap();
    });
}

#[test]
fn loom_a_wrap_with_a_filler_is_whole_or_counted_as_lost() {
    check(|| {
        let (memory, mut writer) = written_into(WITH_FILLER, 2);
        let reader = Reader::new(memory, WITH_FILLER);
        let writing = thread::spawn(move || {
            append(&mut writer);
            append(&mut writer);
        });
        assert_read_is_true(&reader, 0);
        assert_read_is_true(&reader, 2);
        writing.join().unwrap();
        assert_read_is_true(&reader, 1);
        assert_read_is_true(&reader, 3);
    });
}

/// A payload of several pieces, each of which may come from another record.
#[test]
fn loom_a_long_view_that_was_verified_was_whole() {
    const LONG: Geometry = Geometry { capacity: 384, index_entries: 4, schema_len: 0 };
    check(|| {
        let memory = LoomMemory::new(LONG);
        let mut writer = Writer::new(Arc::clone(&memory), LONG);
        append_chunks(&mut writer, 2);
        append_chunks(&mut writer, 2);
        let reader = Reader::new(memory, LONG);
        let located = reader.locate(0).unwrap();
        let writing = thread::spawn(move || append_chunks(&mut writer, 2));
        let mut seen = [0; 2 * CHUNK];
        reader.copy_payload(&located, &mut seen);
        if reader.verify(&located).is_ok() {
            assert_eq!(seen, [1; 2 * CHUNK]);
        }
        assert_read_is_true(&reader, 1);
        assert_read_is_true(&reader, 2);
        writing.join().unwrap();
    });
}

#[test]
fn loom_two_readers_do_not_disturb_each_other() {
    check_up_to(3, || {
        let (memory, mut writer) = written(2);
        let (one, other) = (Reader::new(Arc::clone(&memory), GEOMETRY), memory);
        let reading = thread::spawn(move || {
            assert_read_is_true(&Reader::new(other, GEOMETRY), 0);
        });
        let writing = thread::spawn(move || append(&mut writer));
        assert_read_is_true(&one, 0);
        reading.join().unwrap();
        writing.join().unwrap();
    });
}

/// A slot that is filled and given back costs the oldest record, and nothing else.
#[test]
fn loom_a_slot_that_is_given_back_never_was_a_record() {
    check(|| {
        let (memory, mut writer) = written(2);
        let reader = Reader::new(memory, GEOMETRY);
        let writing = thread::spawn(move || {
            let slot = writer.reserve(CHUNK as u64).unwrap();
            writer.fill(&slot, 0, &[99; CHUNK]).unwrap();
            drop(slot);
            append(&mut writer);
        });
        assert_read_is_true(&reader, 0);
        assert_read_is_true(&reader, 2);
        writing.join().unwrap();
        assert_read_is_true(&reader, 1);
        assert_eq!(reader.next_sequence(), 3);
    });
}

/// A reader without the index: from tail to head by lengths, as the layout's page allows.
#[test]
fn loom_a_walk_by_bytes_sees_whole_frames() {
    check(|| {
        let (memory, mut writer) = written(2);
        let writing = thread::spawn(move || append(&mut writer));
        let head = memory.load(WRITE_HEAD_AT, Ordering::Acquire);
        let tail = memory.load(READ_TAIL_AT, Ordering::Acquire);
        let mut bytes = [0; FRAME_SIZE];
        memory.copy_out(GEOMETRY.data_at(tail), &mut bytes);
        fence(Ordering::Acquire);
        if memory.load(READ_TAIL_AT, Ordering::Relaxed) <= tail && tail < head {
            let frame = Frame::from_bytes(&bytes, GEOMETRY.capacity).unwrap();
            assert_eq!(frame.sequence, tail / 128);
        }
        writing.join().unwrap();
    });
}
