//! The reading half of the protocol. It writes nothing and holds nothing.
//!
//! What a record is found and confirmed with is inlined into whoever reads, for the reason that the
//! writer gives: who has just woken up finds nothing of it in the caches.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::RingError;
use crate::frame::Frame;
use crate::index::{Entry, read_entry};
use crate::layout::{
    CLOSED, FRAME_SIZE, Geometry, NEXT_SEQUENCE_AT, OLDEST_SEQUENCE_AT, READ_TAIL_AT,
    WRITE_HEAD_AT, WRITER_STATE_AT,
};
use crate::memory::Memory;
use crate::sync::{Ordering, fence};

/// How often a reader looks again when the writer moved between two looks.
const MAX_TRIES: usize = 1000;
/// How many positions a reader remembers, to count the rows of an overrun.
const REMEMBERED: usize = 8;

/// The rest of a long record is fetched well enough while it is read.
const SOON_BYTES: usize = 512;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The record's frame.
    pub frame: Frame,
    /// File offset of the payload.
    pub payload_at: usize,
}

/// How a ring is, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Records ever committed; also the sequence number of the next one.
    pub next_sequence: u64,
    /// Rows in them.
    pub rows: u64,
    /// Sequence number of the oldest record left; the next one's if none is left.
    pub oldest_sequence: u64,
    /// Rows in the records that are left; 0 too if the oldest of them is damaged.
    pub held_rows: u64,
    /// Bytes between tail and head.
    pub used_bytes: u64,
    /// Time of the oldest row left; `None` too if that record is damaged.
    pub first_nanos: Option<i64>,
    /// Time of the newest row; `None` too if that record is damaged.
    pub last_nanos: Option<i64>,
    /// The writer closed the ring.
    pub closed: bool,
}

/// One reader of a ring; threads may share it.
#[derive(Debug)]
pub struct Reader<M> {
    memory: M,
    geometry: Geometry,
    remembered: Mutex<Positions>,
}

/// The last positions that a reader knew.
#[derive(Debug, Default)]
struct Positions {
    /// Pairs of a sequence number and the rows before it.
    known: [(u64, u64); REMEMBERED],
    /// Where the newest of them is.
    newest: usize,
}

impl Positions {
    fn rows_before(&self, sequence: u64) -> Option<u64> {
        self.known.iter().find(|(known, _)| *known == sequence).map(|(_, rows)| *rows)
    }

    #[inline(always)]
    fn note(&mut self, sequence: u64, rows: u64) {
        if self.known[self.newest % REMEMBERED].0 != sequence {
            self.newest = (self.newest + 1) % REMEMBERED;
            self.known[self.newest] = (sequence, rows);
        }
    }
}

#[cold]
fn misnumbered(wanted: u64, found: u64) -> RingError {
    RingError::corrupt(format!("record {wanted} was looked for; found record {found}"))
}

impl<M: Memory> Reader<M> {
    /// Begins to read.
    pub fn new(memory: M, geometry: Geometry) -> Self {
        let reader = Self { memory, geometry, remembered: Mutex::default() };
        let next = reader.next_sequence();
        if let Some(rows) = reader.indexed_rows_before(next) {
            reader.remember(next, rows);
        }
        reader
    }

    /// The ring's sizes.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The shared bytes.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The sequence number of the record that will be committed next.
    #[inline(always)]
    pub fn next_sequence(&self) -> u64 {
        // Acquire: pairs with the release that commits, so every record below is whole.
        self.memory.load(NEXT_SEQUENCE_AT, Ordering::Acquire)
    }

    /// The sequence number of the oldest record left.
    #[inline(always)]
    pub fn oldest_sequence(&self) -> u64 {
        // Relaxed: only a hint where it stands alone; `is_intact` puts a fence before it.
        self.memory.load(OLDEST_SEQUENCE_AT, Ordering::Relaxed)
    }

    /// Whether the writer has closed the ring.
    #[inline(always)]
    pub fn is_closed(&self) -> bool {
        // Acquire: pairs with the release in `close`; a later look at `next_sequence` is final.
        self.memory.load(WRITER_STATE_AT, Ordering::Acquire) & CLOSED != 0
    }

    /// Whether everything copied or looked at so far of a record was whole.
    #[inline(always)]
    pub fn is_intact(&self, sequence: u64) -> bool {
        // Pairs with the release fence of the writer's eviction: had any byte looked at before come
        // from a newer record, the load below would see that this one is gone.
        fence(Ordering::Acquire);
        self.oldest_sequence() <= sequence
    }

    /// Begins to fetch a record that has just been committed: it lies in the writer's caches.
    #[inline(always)]
    pub fn fetch(&self, sequence: u64) {
        // Relaxed, and not checked: a wrong offset leads to other bytes of the ring, in vain.
        let offset = self.memory.load(self.geometry.entry_at(sequence) + 8, Ordering::Relaxed);
        self.memory.fetch(self.geometry.data_at(offset), SOON_BYTES);
    }

    /// Finds a record and checks its frame.
    #[inline(always)]
    pub fn locate(&self, sequence: u64) -> Result<Located, RingError> {
        let located = self.locate_to_verify(sequence)?;
        self.remember(sequence, located.frame.first_row);
        Ok(located)
    }

    /// The same for who verifies what was located, and until then asks for nothing that was lost.
    #[inline(always)]
    pub fn locate_to_verify(&self, sequence: u64) -> Result<Located, RingError> {
        self.locate_or_none(sequence).map_or_else(|| self.look_again(sequence), Ok)
    }

    /// The same for who then asks another way.
    #[inline(always)]
    pub fn locate_or_none(&self, sequence: u64) -> Option<Located> {
        let is_there = sequence < self.next_sequence();
        let found = if is_there { self.look_up(sequence) } else { None };
        found.filter(|_| self.is_intact(sequence))
    }

    /// What became of a record that was looked for in vain; it may have come meanwhile.
    #[cold]
    fn look_again(&self, sequence: u64) -> Result<Located, RingError> {
        let next = self.next_sequence();
        if sequence >= next {
            return Err(RingError::NotYetWritten { sequence, next });
        }
        let found = self.look_closely(sequence);
        // The writer may have come by meanwhile, so that it looks damaged.
        if self.is_intact(sequence) { found } else { Err(self.overrun(sequence)) }
    }

    /// Copies a located record's payload; the copy is whole only if `verify` then agrees.
    #[inline(always)]
    pub fn copy_payload(&self, located: &Located, into: &mut [u8]) {
        self.memory.copy_out(located.payload_at, into);
    }

    /// Confirms that a record was whole until now, else says what is lost.
    #[inline(always)]
    pub fn verify(&self, located: &Located) -> Result<(), RingError> {
        self.confirm(located)?;
        let frame = &located.frame;
        // A damaged frame may hold any number; wrong rows are then all that comes of it.
        self.remember(frame.sequence.wrapping_add(1), frame.first_row.wrapping_add(frame.rows));
        Ok(())
    }

    /// The same for who remembers its place by itself, and says so before it looks for the next one.
    #[inline(always)]
    pub fn confirm(&self, located: &Located) -> Result<(), RingError> {
        let frame = &located.frame;
        if !self.is_intact(frame.sequence) {
            self.remember(frame.sequence, frame.first_row);
            return Err(self.overrun(frame.sequence));
        }
        Ok(())
    }

    /// Copies a record and confirms that the copy is whole.
    pub fn read(&self, sequence: u64) -> Result<(Frame, Vec<u8>), RingError> {
        let located = self.locate(sequence)?;
        let mut payload = vec![0; located.frame.payload_len as usize];
        self.copy_payload(&located, &mut payload);
        self.verify(&located)?;
        Ok((located.frame, payload))
    }

    /// The first record whose last time is `time_nanos` or later; the next one if there is none yet.
    pub fn find(&self, time_nanos: i64) -> Result<u64, RingError> {
        let mut high = self.next_sequence();
        let mut low = self.oldest_sequence();
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = read_entry(&self.memory, &self.geometry, middle);
            if !self.is_intact(middle) {
                low = self.oldest_sequence().max(middle + 1);
                continue;
            }
            match entry {
                None => return Err(self.damaged_entry(middle)),
                Some(entry) if entry.newest_nanos < time_nanos => low = middle + 1,
                Some(_) => high = middle,
            }
        }
        Ok(low)
    }

    /// The ring's counters, consistent with each other.
    pub fn statistics(&self) -> Result<Statistics, RingError> {
        for _ in 0..MAX_TRIES {
            let next_sequence = self.next_sequence();
            let oldest_sequence = self.oldest_sequence().min(next_sequence);
            let Some(rows) = self.rows_before(next_sequence) else {
                continue;
            };
            let Some((first, last)) = self.ends(oldest_sequence, next_sequence)? else {
                continue;
            };
            self.remember(next_sequence, rows);
            return Ok(Statistics {
                next_sequence,
                rows,
                oldest_sequence,
                used_bytes: self.used_bytes(),
                held_rows: first.map_or(0, |frame| rows.saturating_sub(frame.first_row)),
                first_nanos: first.map(|frame| frame.first_nanos),
                last_nanos: last.map(|frame| frame.last_nanos),
                closed: self.is_closed(),
            });
        }
        Err(RingError::corrupt("the ring's counters contradict its index"))
    }

    /// What a reader that wanted `sequence` has lost.
    #[cold]
    pub fn overrun(&self, sequence: u64) -> RingError {
        for _ in 0..MAX_TRIES {
            let resume_at = self.oldest_sequence();
            let Some(end) = self.rows_before(resume_at) else {
                continue;
            };
            let begin = self.rows_before(sequence);
            // Who goes on from there and is lapped again must still know its place.
            self.remember(resume_at, end);
            return RingError::Overrun {
                lost_records: resume_at.saturating_sub(sequence),
                lost_rows: begin.and_then(|begin| end.checked_sub(begin)),
                resume_at,
            };
        }
        RingError::corrupt("the ring's oldest record contradicts its index")
    }

    /// Rows in all records before one; `None` where neither the index nor this reader knows.
    pub fn rows_before(&self, sequence: u64) -> Option<u64> {
        let remembered = || self.remembered().rows_before(sequence);
        self.indexed_rows_before(sequence).or_else(remembered)
    }

    fn indexed_rows_before(&self, sequence: u64) -> Option<u64> {
        match sequence.checked_sub(1) {
            None => Some(0),
            Some(before) => {
                read_entry(&self.memory, &self.geometry, before).map(|entry| entry.end_row)
            }
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Positions> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that there are so many rows before a record, which an overrun is counted by.
    #[inline(always)]
    pub fn remember(&self, sequence: u64, rows: u64) {
        self.remembered().note(sequence, rows);
    }

    /// Where a record lies, unless what leads there or its frame is damaged.
    #[inline(always)]
    fn look_up(&self, sequence: u64) -> Option<Located> {
        let entry = read_entry(&self.memory, &self.geometry, sequence)?;
        let (at, room, bytes) = self.frame_at(entry)?;
        let frame = Frame::sound(&bytes, room)?;
        let is_it = !frame.skip && frame.sequence == sequence;
        is_it.then_some(Located { frame, payload_at: at + FRAME_SIZE })
    }

    /// File offset of the frame that an entry leads to, bytes from there to the data's end, and those
    /// of the frame; nothing if no frame can lie there.
    #[inline(always)]
    fn frame_at(&self, Entry { offset, .. }: Entry) -> Option<(usize, u64, [u8; FRAME_SIZE])> {
        let at = self.geometry.data_at(offset);
        let room = self.geometry.capacity - offset % self.geometry.capacity;
        if room < FRAME_SIZE as u64 || offset % 8 != 0 {
            return None;
        }
        let mut bytes = [0; FRAME_SIZE];
        self.memory.copy_out(at, &mut bytes);
        Some((at, room, bytes))
    }

    /// `look_up`, and what is wrong if it finds nothing.
    #[cold]
    fn look_closely(&self, sequence: u64) -> Result<Located, RingError> {
        let entry = read_entry(&self.memory, &self.geometry, sequence);
        let (at, room, bytes) = entry
            .and_then(|entry| self.frame_at(entry))
            .ok_or_else(|| self.damaged_entry(sequence))?;
        let frame = Frame::from_bytes(&bytes, room)?;
        if frame.skip || frame.sequence != sequence {
            return Err(misnumbered(sequence, frame.sequence));
        }
        Ok(Located { frame, payload_at: at + FRAME_SIZE })
    }

    #[cold]
    fn damaged_entry(&self, sequence: u64) -> RingError {
        RingError::corrupt(format!("the ring's index does not know record {sequence}"))
    }

    /// The first and last of a range of records; the outer `None` if the writer moved meanwhile.
    #[allow(clippy::type_complexity, reason = "two nested options are what there is to say")]
    fn ends(
        &self,
        oldest: u64,
        next: u64,
    ) -> Result<Option<(Option<Frame>, Option<Frame>)>, RingError> {
        if oldest >= next {
            return Ok(Some((None, None)));
        }
        Ok(self.frame_of(oldest)?.zip(self.frame_of(next - 1)?))
    }

    /// A record's frame; nothing inside if it is damaged, nothing at all if it was overwritten.
    #[allow(clippy::option_option, reason = "two nested options are what there is to say")]
    fn frame_of(&self, sequence: u64) -> Result<Option<Option<Frame>>, RingError> {
        match self.locate(sequence) {
            Ok(located) => Ok(Some(Some(located.frame))),
            Err(RingError::Corrupt(_)) => Ok(Some(None)),
            Err(RingError::Overrun { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn used_bytes(&self) -> u64 {
        // Relaxed: a number for people. The two may be of different moments, and in either order, which
        // is what the bounds are for.
        let tail = self.memory.load(READ_TAIL_AT, Ordering::Relaxed);
        let head = self.memory.load(WRITE_HEAD_AT, Ordering::Relaxed);
        head.saturating_sub(tail).min(self.geometry.capacity)
    }
}
