//! The protocol under loom: every order in which a writer's and a reader's steps can meet.
//!
//! Words are loom's atomics. Bulk bytes are one atomic for each 64 bytes that names what they hold,
//! so a copy can come apart between any two of those.

use std::sync::Mutex as StdMutex;
use std::time::Duration;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::debt::{Debt, Payer, Ringer};
use crate::error::RingError;
use crate::layout::{Geometry, HEADER_SIZE};
use crate::memory::{Memory, MemoryMut};
use crate::reader::Reader;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::wake::{Bell, ring_bell, wait_once};
use crate::writer::{Stamp, Writer};

const CHUNK: usize = 64;
/// Two records of 128 bytes fit, and the index has the two spare entries that every ring has.
const GEOMETRY: Geometry = Geometry { capacity: 256, index_entries: 4, schema_len: 0 };

struct LoomMemory {
    words: Vec<AtomicU64>,
    chunks: Vec<AtomicU64>,
    contents: StdMutex<Vec<[u8; CHUNK]>>,
}

impl LoomMemory {
    fn new() -> Arc<Self> {
        let words = (HEADER_SIZE + GEOMETRY.index_entries as usize * 32) / 8;
        let chunks = GEOMETRY.capacity as usize / CHUNK;
        Arc::new(Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            chunks: (0..chunks).map(|_| AtomicU64::new(0)).collect(),
            contents: StdMutex::new(vec![[0; CHUNK]]),
        })
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        let index = GEOMETRY.index_offset() as usize;
        if at < HEADER_SIZE {
            &self.words[at / 8]
        } else {
            &self.words[(HEADER_SIZE + at - index) / 8]
        }
    }
}

impl Memory for Arc<LoomMemory> {
    fn load(&self, at: usize, order: Ordering) -> u64 {
        self.word(at).load(order)
    }

    fn copy_out(&self, at: usize, into: &mut [u8]) {
        let first = (at - HEADER_SIZE) / CHUNK;
        for (bytes, chunk) in into.chunks_mut(CHUNK).zip(&self.chunks[first..]) {
            let content = chunk.load(Ordering::Relaxed) as usize;
            bytes.copy_from_slice(&self.contents.lock().unwrap()[content][..bytes.len()]);
        }
    }
}

impl MemoryMut for Arc<LoomMemory> {
    fn store(&self, at: usize, value: u64, order: Ordering) {
        self.word(at).store(value, order);
    }

    fn copy_in(&self, at: usize, from: &[u8]) {
        let first = (at - HEADER_SIZE) / CHUNK;
        for (bytes, chunk) in from.chunks(CHUNK).zip(&self.chunks[first..]) {
            let mut content = [0; CHUNK];
            content[..bytes.len()].copy_from_slice(bytes);
            let mut contents = self.contents.lock().unwrap();
            contents.push(content);
            let name = contents.len() as u64 - 1;
            drop(contents);
            chunk.store(name, Ordering::Relaxed);
        }
    }
}

struct LoomBell {
    word: AtomicU32,
    bucket: Mutex<()>,
    sleepers: Condvar,
}

impl LoomBell {
    fn new() -> Arc<Self> {
        Arc::new(Self::made())
    }

    fn made() -> Self {
        let (word, bucket) = (AtomicU32::new(0), Mutex::new(()));
        Self { word, bucket, sleepers: Condvar::new() }
    }
}

/// As the kernel does it: looking at the word and falling asleep are one step against waking.
impl Bell for LoomBell {
    fn word(&self) -> &AtomicU32 {
        &self.word
    }

    fn sleep(&self, value: u32, _: Duration) {
        let bucket = self.bucket.lock().unwrap();
        if self.word.load(Ordering::Relaxed) == value {
            drop(self.sleepers.wait(bucket).unwrap());
        }
    }

    fn wake_one(&self) {
        let _bucket = self.bucket.lock().unwrap();
        self.sleepers.notify_one();
    }

    fn wake_all(&self) {
        let _bucket = self.bucket.lock().unwrap();
        self.sleepers.notify_all();
    }
}

fn check(test: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(3));
    model.max_branches = 100_000;
    model.check(test);
}

/// Each record has one row more than the one before, so that lost rows tell which were lost.
fn rows_before(sequence: u64) -> u64 {
    (0..sequence).map(|s| s + 1).sum()
}

fn append<M: MemoryMut>(writer: &mut Writer<M>) {
    let sequence = writer.next_sequence();
    let slot = writer.reserve(CHUNK as u64).unwrap();
    writer.fill(&slot, 0, &[sequence as u8 + 1; CHUNK]).unwrap();
    let nanos = sequence as i64;
    let stamp =
        Stamp { first_nanos: nanos, last_nanos: nanos, rows: sequence + 1, heartbeat_nanos: 0 };
    assert_eq!(writer.commit(slot, stamp), sequence);
}

fn written(records: u64) -> (Arc<LoomMemory>, Writer<Arc<LoomMemory>>) {
    let memory = LoomMemory::new();
    let mut writer = Writer::new(Arc::clone(&memory), GEOMETRY);
    for _ in 0..records {
        append(&mut writer);
    }
    (memory, writer)
}

fn assert_read_is_true<M: Memory>(reader: &Reader<M>, sequence: u64) {
    match reader.read(sequence) {
        Ok((frame, payload)) => {
            assert_eq!((frame.sequence, frame.rows), (sequence, sequence + 1));
            assert_eq!(frame.first_row, rows_before(sequence));
            assert_eq!(payload, vec![sequence as u8 + 1; CHUNK]);
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
fn loom_a_sleeper_is_never_forgotten() {
    check(|| {
        let (memory, mut writer) = written(0);
        let reader = Reader::new(memory, GEOMETRY);
        let bell = LoomBell::new();
        let ringing = Arc::clone(&bell);
        let writing = thread::spawn(move || {
            append(&mut writer);
            ring_bell(&*ringing);
        });
        // A lost wake-up would leave the sleeper alone for ever, which loom reports as a deadlock.
        while !wait_once(&reader, &*bell, 0, Duration::MAX) {}
        assert_read_is_true(&reader, 0);
        writing.join().unwrap();
    });
}

struct LoomPayer(thread::Thread);

impl Payer for LoomPayer {
    fn is_there(&mut self) -> bool {
        true
    }

    fn unpark(&self) {
        self.0.unpark();
    }
}

/// Somebody else set its bits and was killed, so the writer takes the sleeper for a crowd.
fn left_by_the_dead(bell: &LoomBell) {
    bell.word.store(5, Ordering::Relaxed);
}

fn paying(debt: &Arc<Debt<LoomBell>>) -> (thread::JoinHandle<()>, LoomPayer) {
    let debt = Arc::clone(debt);
    let thread = thread::spawn(move || debt.pay(thread::yield_now, thread::park));
    let payer = LoomPayer(thread.thread().clone());
    (thread, payer)
}

/// A writer that has just woken somebody writes again, while a reader wants the last record.
fn a_debt_is_paid(records: u64, waits_for_the_end: bool) {
    check(move || {
        let (memory, mut writer) = written(0);
        let reader = Reader::new(memory, GEOMETRY);
        let bell = LoomBell::made();
        left_by_the_dead(&bell);
        let debt = Arc::new(Debt::new(bell));
        let (thread, payer) = paying(&debt);
        let mut ringer = Ringer::new(Arc::clone(&debt), payer);
        let writing = thread::spawn(move || {
            for _ in 0..records {
                append(&mut writer);
                ringer.tell(|| i64::MIN / 2);
            }
            waits_for_the_end.then_some(ringer)
        });
        // A debt that nobody pays would leave the sleeper alone for ever.
        while !wait_once(&reader, debt.bell(), records - 1, Duration::MAX) {}
        assert_read_is_true(&reader, records - 1);
        drop(writing.join().unwrap());
        thread.join().unwrap();
    });
}

#[test]
fn loom_a_wake_up_that_is_owed_is_paid() {
    a_debt_is_paid(1, true);
}

#[test]
fn loom_records_during_a_tick_are_told_of_too() {
    a_debt_is_paid(2, true);
}

#[test]
fn loom_the_end_pays_what_is_owed() {
    a_debt_is_paid(1, false);
}

#[test]
fn loom_two_who_ring_at_once_forget_nobody() {
    check(|| {
        let (memory, mut writer) = written(0);
        let reader = Reader::new(memory, GEOMETRY);
        let bell = LoomBell::new();
        let (ringing, paying) = (Arc::clone(&bell), Arc::clone(&bell));
        let paying = thread::spawn(move || ring_bell(&*paying));
        let writing = thread::spawn(move || {
            append(&mut writer);
            ring_bell(&*ringing);
        });
        while !wait_once(&reader, &*bell, 0, Duration::MAX) {}
        assert_read_is_true(&reader, 0);
        writing.join().unwrap();
        paying.join().unwrap();
    });
}

#[test]
fn loom_two_sleepers_both_learn_of_the_end() {
    check(|| {
        let (memory, mut writer) = written(0);
        let bell = LoomBell::new();
        let sleep = |memory: Arc<LoomMemory>, bell: Arc<LoomBell>| {
            let reader = Reader::new(memory, GEOMETRY);
            while !wait_once(&reader, &*bell, 0, Duration::MAX) {}
            assert!(reader.is_closed());
        };
        let (other_memory, other_bell) = (Arc::clone(&memory), Arc::clone(&bell));
        let sleeping = thread::spawn(move || sleep(other_memory, other_bell));
        let ringing = Arc::clone(&bell);
        let writing = thread::spawn(move || {
            writer.close();
            ring_bell(&*ringing);
        });
        sleep(memory, bell);
        sleeping.join().unwrap();
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
