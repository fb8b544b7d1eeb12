//! The index: 32 bytes a record, found by `sequence % entries`.
//!
//! It has more entries than records can be alive, so it still knows how many rows were lost after
//! the records themselves are gone. Each entry validates itself: its first word is 0 while the
//! writer rewrites it, and names its record otherwise.

use crate::layout::Geometry;
use crate::memory::{Memory, MemoryMut};
use crate::sync::{Ordering, fence};

/// What the index knows of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Monotonic byte offset of the record.
    pub offset: u64,
    /// Rows in all records up to and with this one.
    pub end_row: u64,
    /// The latest time of all records up to and with this one.
    pub newest_nanos: i64,
}

/// Writes the entry of a record.
#[inline(always)]
pub fn write_entry<M: MemoryMut>(memory: &M, geometry: &Geometry, sequence: u64, entry: &Entry) {
    let at = geometry.entry_at(sequence);
    // Relaxed is enough for the mark: the fence below puts it before the words that follow, for any
    // reader that sees one of them and then fences.
    memory.store(at, 0, Ordering::Relaxed);
    // Pairs with the acquire fence in `read_entry`: who sees a new word also sees the mark, or a
    // later value, when it looks at the first word again.
    fence(Ordering::Release);
    memory.store(at + 8, entry.offset, Ordering::Relaxed);
    memory.store(at + 16, entry.end_row, Ordering::Relaxed);
    memory.store(at + 24, entry.newest_nanos as u64, Ordering::Relaxed);
    // Release: who acquires this value sees the three words above.
    memory.store(at, sequence.wrapping_add(1), Ordering::Release);
}

/// Reads the entry of a record; `None` if the entry belongs to another one or is being rewritten.
#[inline(always)]
pub fn read_entry<M: Memory>(memory: &M, geometry: &Geometry, sequence: u64) -> Option<Entry> {
    let at = geometry.entry_at(sequence);
    let wanted = sequence.wrapping_add(1);
    // Acquire: pairs with the release of the entry's first word, so the words below are not older.
    if memory.load(at, Ordering::Acquire) != wanted {
        return None;
    }
    // Relaxed: they may be newer, which the second look at the first word finds out.
    let entry = Entry {
        offset: memory.load(at + 8, Ordering::Relaxed),
        end_row: memory.load(at + 16, Ordering::Relaxed),
        newest_nanos: memory.load(at + 24, Ordering::Relaxed) as i64,
    };
    // Pairs with the release fence in `write_entry`.
    fence(Ordering::Acquire);
    // Relaxed: the fence before it is what orders it after the three loads.
    (memory.load(at, Ordering::Relaxed) == wanted).then_some(entry)
}
