//! The writing half of the protocol.
//!
//! What a commit runs through is inlined into whoever commits. After a pause nothing of it is in the
//! caches, and each line and each page of code that it lies on costs as much as dozens of instructions.

use crate::error::RingError;
use crate::frame::Frame;
use crate::index::{Entry, write_entry};
use crate::layout::{
    CLOSED, ENTRY_SIZE, FRAME_SIZE, Geometry, HEARTBEAT_AT, NEXT_SEQUENCE_AT, OLDEST_SEQUENCE_AT,
    READ_TAIL_AT, ROW_COUNT_AT, WRITE_HEAD_AT, WRITER_STATE_AT, record_len,
};
use crate::memory::MemoryMut;
use crate::sync::{Ordering, fence};

/// The rest of a long record is fetched well enough while it is written.
const MOST_EXPECTED: usize = 512;

/// When a record's rows were taken, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Time of the first row.
    pub first_nanos: i64,
    /// Time of the last row.
    pub last_nanos: i64,
    /// Rows.
    pub rows: u64,
    /// The clock that the ring's heartbeat is kept in.
    pub heartbeat_nanos: u64,
}

/// Room for one record; nobody sees it until it is committed, and a dropped one never existed.
#[derive(Debug)]
pub struct Slot {
    at: usize,
    offset: u64,
    length: u64,
    payload_len: u64,
}

impl Slot {
    /// File offset of the payload.
    pub fn payload_at(&self) -> usize {
        self.at + FRAME_SIZE
    }

    /// Bytes of the payload.
    pub fn payload_len(&self) -> u64 {
        self.payload_len
    }

    #[cold]
    fn refuses(&self, at: usize, end: u64) -> RingError {
        RingError::Invalid(format!(
            "bytes {at} to {end} lie beyond a payload of {} bytes",
            self.payload_len
        ))
    }
}

/// The one writer of a ring. Its counters are its own: it never believes the shared ones.
#[derive(Debug)]
pub struct Writer<M> {
    memory: M,
    geometry: Geometry,
    head: u64,
    tail: u64,
    oldest: u64,
    next: u64,
    rows: u64,
    newest_nanos: i64,
}

impl<M: MemoryMut> Writer<M> {
    /// Begins to write a ring whose words are all 0.
    pub fn new(memory: M, geometry: Geometry) -> Self {
        let newest_nanos = i64::MIN;
        Self { memory, geometry, head: 0, tail: 0, oldest: 0, next: 0, rows: 0, newest_nanos }
    }

    /// Begins at other counts than 0, as a ring that has run for years would have reached them.
    ///
    /// `head` must be a multiple of 64.
    pub fn starting_at(memory: M, geometry: Geometry, sequence: u64, head: u64, rows: u64) -> Self {
        let mut writer = Self::new(memory, geometry);
        (writer.head, writer.tail) = (head, head);
        (writer.oldest, writer.next, writer.rows) = (sequence, sequence, rows);
        if (sequence, head, rows) == (0, 0, 0) {
            return writer;
        }
        writer.publish_tail();
        let before = Entry { offset: head, end_row: rows, newest_nanos: i64::MIN };
        write_entry(&writer.memory, &geometry, sequence.wrapping_sub(1), &before);
        writer.publish_head(0);
        writer
    }

    /// The sequence number that the next record will get.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The shared bytes.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The ring's sizes.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Begins to fetch what a record that comes soon is written to, which nobody has touched for as
    /// long as the ring holds: its own bytes, its entry, and the frame of the record that it replaces.
    #[inline(always)]
    pub fn expect(&self, payload_len: usize) {
        let len = (FRAME_SIZE + payload_len).min(MOST_EXPECTED);
        self.memory.expect(self.geometry.data_at(self.tail), FRAME_SIZE);
        self.memory.expect(self.geometry.data_at(self.head), len);
        self.memory.expect(self.geometry.entry_at(self.next), ENTRY_SIZE);
    }

    /// Makes room for a record, at the cost of the oldest ones.
    #[inline(always)]
    pub fn reserve(&mut self, payload_len: u64) -> Result<Slot, RingError> {
        let capacity = self.geometry.capacity;
        let length = record_len(payload_len, capacity)?;
        let left = capacity - self.head % capacity;
        let skip = if length > left { left } else { 0 };
        let start = self.head + skip;
        self.evict(start, length);
        if skip > 0 && self.tail <= self.head {
            let filler = Frame::filler(skip).to_bytes();
            self.memory.copy_in(self.geometry.data_at(self.head), &filler);
        }
        Ok(Slot { at: self.geometry.data_at(start), offset: start, length, payload_len })
    }

    /// Writes part of a slot's payload; a part beyond its end is refused.
    #[inline(always)]
    pub fn fill(&self, slot: &Slot, at: usize, bytes: &[u8]) -> Result<(), RingError> {
        let end = at as u64 + bytes.len() as u64;
        if end > slot.payload_len {
            return Err(slot.refuses(at, end));
        }
        self.memory.copy_in(slot.payload_at() + at, bytes);
        Ok(())
    }

    /// Publishes a filled slot and returns its sequence number.
    #[inline(always)]
    pub fn commit(&mut self, slot: Slot, stamp: Stamp) -> u64 {
        let sequence = self.next;
        let frame = Frame {
            skip: false,
            length: slot.length,
            sequence,
            first_nanos: stamp.first_nanos,
            last_nanos: stamp.last_nanos,
            first_row: self.rows,
            rows: stamp.rows,
            payload_len: slot.payload_len,
        };
        self.memory.copy_in(slot.at, &frame.to_bytes());
        self.rows += stamp.rows;
        self.newest_nanos = self.newest_nanos.max(stamp.last_nanos);
        let (end_row, newest_nanos) = (self.rows, self.newest_nanos);
        let entry = Entry { offset: slot.offset, end_row, newest_nanos };
        write_entry(&self.memory, &self.geometry, sequence, &entry);
        self.head = slot.offset + slot.length;
        self.next = sequence + 1;
        self.publish_head(stamp.heartbeat_nanos);
        sequence
    }

    /// Tells readers that nothing will follow.
    pub fn close(&mut self) {
        let state = self.memory.load(WRITER_STATE_AT, Ordering::Relaxed);
        // Release: a reader that sees the flag also sees the last `next_sequence`.
        self.memory.store(WRITER_STATE_AT, state | CLOSED, Ordering::Release);
    }

    #[inline(always)]
    fn publish_head(&self, heartbeat_nanos: u64) {
        // Relaxed: numbers for people; nothing is read on their strength.
        self.memory.store(ROW_COUNT_AT, self.rows, Ordering::Relaxed);
        self.memory.store(HEARTBEAT_AT, heartbeat_nanos, Ordering::Relaxed);
        // Release: a reader that walks by bytes and acquires the head sees the record before it.
        self.memory.store(WRITE_HEAD_AT, self.head, Ordering::Release);
        // Release, and last: this store commits the record. A reader that acquires it sees the
        // payload, the frame, the index entry and the head.
        self.memory.store(NEXT_SEQUENCE_AT, self.next, Ordering::Release);
    }

    #[inline(always)]
    fn publish_tail(&self) {
        // Relaxed: the fence below orders both before every byte that is written afterwards.
        self.memory.store(OLDEST_SEQUENCE_AT, self.oldest, Ordering::Relaxed);
        self.memory.store(READ_TAIL_AT, self.tail, Ordering::Relaxed);
        // Pairs with the acquire fence of a reader's check: whoever has seen one of the bytes that
        // overwrite an old record then also sees that the record is gone.
        fence(Ordering::Release);
    }

    #[inline(always)]
    fn evict(&mut self, start: u64, length: u64) {
        let wanted = (start + length).saturating_sub(self.geometry.capacity);
        if self.tail >= wanted {
            return;
        }
        while self.tail < wanted && self.tail < self.head {
            let dropped = self.tail;
            self.drop_oldest();
            self.publish_tail();
            // A frame that is right would vouch for a payload that soon is not, should a stray write
            // ever make readers believe that the record is still there.
            self.memory.copy_in(self.geometry.data_at(dropped), &[0; 8]);
        }
        if self.tail < wanted {
            self.tail = start;
            self.publish_tail();
        }
    }

    #[inline(always)]
    fn drop_oldest(&mut self) {
        let capacity = self.geometry.capacity;
        let mut bytes = [0; FRAME_SIZE];
        self.memory.copy_out(self.geometry.data_at(self.tail), &mut bytes);
        let expected = |frame: &Frame| frame.skip || frame.sequence == self.oldest;
        match Frame::from_bytes(&bytes, capacity - self.tail % capacity) {
            Ok(frame) if expected(&frame) => {
                self.tail += frame.length;
                self.oldest += u64::from(!frame.skip);
            }
            // Somebody scribbled into the ring. Acquisition goes on: the whole history is given up,
            // which readers see as a counted overrun.
            _ => (self.tail, self.oldest) = (self.head, self.next),
        }
    }
}
