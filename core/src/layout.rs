//! The bytes of a ring file: the only place that knows an offset.
//!
//! ```text
//! 0        128                 128 + capacity        + 32 × entries      end
//! | header | data: the records | index: 32 B a record | Arrow schema message |
//! ```
//!
//! Everything is little-endian. Records, index and schema begin at multiples of 64 from the start of
//! the file, so that Arrow buffers inside a mapping are aligned.

use std::mem::{offset_of, size_of};

use crate::error::RingError;

#[cfg(target_endian = "big")]
compile_error!("a ring is little-endian, and its words are shared in place");

/// The number that begins every ring; on disk its bytes run backwards: `01 00 00 00 da da da da`.
pub const MAGIC: u64 = 0xDADA_DADA_0000_0001;
/// The version of this layout; readers refuse any other.
pub const LAYOUT_VERSION: u32 = 1;
/// Bytes before the data.
pub const HEADER_SIZE: usize = 128;
/// Every record, buffer and region begins at a multiple of this.
pub const ALIGNMENT: u64 = 64;
/// Bytes of the frame before a record's payload.
pub const FRAME_SIZE: usize = 64;
/// Bytes of one entry of the index.
pub const ENTRY_SIZE: usize = 32;
/// The fewest entries an index has, so that overrun rows can be counted long after the data went.
pub const MIN_INDEX_ENTRIES: u64 = 1024;
/// The longest schema message that a reader takes, in bytes.
pub const MAX_SCHEMA_LEN: u64 = 16 << 20;
/// Bytes of the `.wake` file.
pub const WAKE_SIZE: usize = 64;

/// The header of a ring file.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// `MAGIC`.
    pub magic: u64,
    /// Bytes of the data region, a multiple of 64.
    pub capacity_bytes: u64,
    /// Monotonic byte offset of the end of the newest record.
    pub write_head: u64,
    /// Monotonic byte offset of the start of the oldest record.
    pub read_tail: u64,
    /// Bytes of the Arrow schema message.
    pub schema_len: u32,
    /// `LAYOUT_VERSION`.
    pub layout_version: u32,
    /// Random id, new for every file.
    pub generation: [u8; 16],
    /// Sequence number of the next record; storing it commits a record.
    pub next_sequence: u64,
    /// Rows in all records ever committed.
    pub row_count: u64,
    /// Sequence number of the oldest record that is still whole.
    pub oldest_sequence: u64,
    /// Process id of the writer in the low half, 1 in the high half once it closed the ring.
    pub writer_state: u64,
    /// `CLOCK_MONOTONIC` of the last commit, in nanoseconds, coarse.
    pub heartbeat_nanos: u64,
    /// File offset of the index.
    pub index_offset: u64,
    /// Entries of the index.
    pub index_entries: u64,
    /// File offset of the Arrow schema message.
    pub schema_offset: u64,
    /// CRC-32 of the schema message.
    pub schema_crc: u32,
    /// CRC-32 of the constant bytes: 0 to 16, 32 to 56 and 96 to 124.
    pub header_crc: u32,
}

/// The frame before each record's payload.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FrameLayout {
    /// `SYNC_RECORD` or `SYNC_SKIP`.
    pub sync: u32,
    /// CRC-32 of the frame's bytes 8 to 64.
    pub crc: u32,
    /// Bytes of the record, frame and padding included, a multiple of 64.
    pub length: u64,
    /// The record's sequence number.
    pub sequence: u64,
    /// Time of the first row, nanoseconds since the epoch.
    pub first_nanos: i64,
    /// Time of the last row, nanoseconds since the epoch.
    pub last_nanos: i64,
    /// Rows in all records before this one.
    pub first_row: u64,
    /// Rows of this record.
    pub rows: u64,
    /// Bytes of the payload, without padding.
    pub payload_len: u64,
}

/// One entry of the index.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct EntryLayout {
    /// Sequence number plus one; 0 while the entry is empty or being rewritten.
    pub sequence_plus_one: u64,
    /// Monotonic byte offset of the record.
    pub offset: u64,
    /// Rows in all records up to and with this one.
    pub end_row: u64,
    /// The latest `last_nanos` of all records up to and with this one.
    pub newest_nanos: i64,
}

/// Begins a record's frame.
pub const SYNC_RECORD: u32 = 0x5249_4E47;
/// Begins the filler at the end of the data region.
pub const SYNC_SKIP: u32 = 0x534B_4950;

/// Offset of `Header::magic`.
pub const MAGIC_AT: usize = offset_of!(Header, magic);
/// Offset of `Header::capacity_bytes`.
pub const CAPACITY_AT: usize = offset_of!(Header, capacity_bytes);
/// Offset of `Header::write_head`.
pub const WRITE_HEAD_AT: usize = offset_of!(Header, write_head);
/// Offset of `Header::read_tail`.
pub const READ_TAIL_AT: usize = offset_of!(Header, read_tail);
/// Offset of `Header::schema_len`.
pub const SCHEMA_LEN_AT: usize = offset_of!(Header, schema_len);
/// Offset of `Header::layout_version`.
pub const LAYOUT_VERSION_AT: usize = offset_of!(Header, layout_version);
/// Offset of `Header::generation`.
pub const GENERATION_AT: usize = offset_of!(Header, generation);
/// Offset of `Header::next_sequence`.
pub const NEXT_SEQUENCE_AT: usize = offset_of!(Header, next_sequence);
/// Offset of `Header::row_count`.
pub const ROW_COUNT_AT: usize = offset_of!(Header, row_count);
/// Offset of `Header::oldest_sequence`.
pub const OLDEST_SEQUENCE_AT: usize = offset_of!(Header, oldest_sequence);
/// Offset of `Header::writer_state`.
pub const WRITER_STATE_AT: usize = offset_of!(Header, writer_state);
/// Offset of `Header::heartbeat_nanos`.
pub const HEARTBEAT_AT: usize = offset_of!(Header, heartbeat_nanos);
/// Offset of `Header::index_offset`.
pub const INDEX_OFFSET_AT: usize = offset_of!(Header, index_offset);
/// Offset of `Header::index_entries`.
pub const INDEX_ENTRIES_AT: usize = offset_of!(Header, index_entries);
/// Offset of `Header::schema_offset`.
pub const SCHEMA_OFFSET_AT: usize = offset_of!(Header, schema_offset);
/// Offset of `Header::schema_crc`.
pub const SCHEMA_CRC_AT: usize = offset_of!(Header, schema_crc);
/// Offset of `Header::header_crc`.
pub const HEADER_CRC_AT: usize = offset_of!(Header, header_crc);

/// In `writer_state`: the writer closed the ring in good order.
pub const CLOSED: u64 = 1 << 32;

const _: () = {
    assert!(size_of::<Header>() == HEADER_SIZE);
    assert!(MAGIC_AT == 0 && CAPACITY_AT == 8 && WRITE_HEAD_AT == 16 && READ_TAIL_AT == 24);
    assert!(SCHEMA_LEN_AT == 32 && LAYOUT_VERSION_AT == 36 && GENERATION_AT == 40);
    assert!(NEXT_SEQUENCE_AT == 56 && ROW_COUNT_AT == 64 && OLDEST_SEQUENCE_AT == 72);
    assert!(WRITER_STATE_AT == 80 && HEARTBEAT_AT == 88 && INDEX_OFFSET_AT == 96);
    assert!(INDEX_ENTRIES_AT == 104 && SCHEMA_OFFSET_AT == 112);
    assert!(SCHEMA_CRC_AT == 120 && HEADER_CRC_AT == 124);
    assert!(size_of::<FrameLayout>() == FRAME_SIZE);
    assert!(offset_of!(FrameLayout, sync) == 0 && offset_of!(FrameLayout, crc) == 4);
    assert!(offset_of!(FrameLayout, length) == 8 && offset_of!(FrameLayout, sequence) == 16);
    assert!(
        offset_of!(FrameLayout, first_nanos) == 24 && offset_of!(FrameLayout, last_nanos) == 32
    );
    assert!(offset_of!(FrameLayout, first_row) == 40 && offset_of!(FrameLayout, rows) == 48);
    assert!(offset_of!(FrameLayout, payload_len) == 56);
    assert!(size_of::<EntryLayout>() == ENTRY_SIZE);
    assert!(
        offset_of!(EntryLayout, sequence_plus_one) == 0 && offset_of!(EntryLayout, offset) == 8
    );
    assert!(offset_of!(EntryLayout, end_row) == 16 && offset_of!(EntryLayout, newest_nanos) == 24);
    assert!((HEADER_SIZE as u64).is_multiple_of(ALIGNMENT) && ALIGNMENT.is_power_of_two());
};

/// Rounds up to the next multiple of `ALIGNMENT`; `None` where that overflows.
pub const fn align_up(bytes: u64) -> Option<u64> {
    match bytes.checked_add(ALIGNMENT - 1) {
        Some(sum) => Some(sum & !(ALIGNMENT - 1)),
        None => None,
    }
}

/// Bytes that a record with this payload takes; refused if a ring of `capacity` cannot hold it.
#[inline(always)]
pub fn record_len(payload_len: u64, capacity: u64) -> Result<u64, RingError> {
    payload_len
        .checked_add(FRAME_SIZE as u64)
        .and_then(align_up)
        .filter(|length| *length <= capacity)
        .ok_or(RingError::TooLarge { record: payload_len, capacity })
}

/// The sizes of one ring, constant for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of the data region.
    pub capacity: u64,
    /// Entries of the index.
    pub index_entries: u64,
    /// Bytes of the schema message.
    pub schema_len: u64,
}

impl Geometry {
    /// The geometry for a capacity, given the smallest record that will ever be written.
    pub fn plan(capacity: u64, smallest_record: u64, schema_len: u64) -> Result<Self, RingError> {
        let capacity =
            align_up(capacity).filter(|c| *c <= i64::MAX as u64 / 4).ok_or_else(|| {
                RingError::Invalid(format!("a ring of {capacity} bytes is too large"))
            })?;
        // One entry more than records can be alive, so that the one before the oldest is always there.
        let alive = capacity / smallest_record.max(FRAME_SIZE as u64);
        let index_entries = (alive + 2).max(MIN_INDEX_ENTRIES);
        Ok(Self { capacity, index_entries, schema_len })
    }

    /// File offset of the index.
    pub const fn index_offset(&self) -> u64 {
        HEADER_SIZE as u64 + self.capacity
    }

    /// File offset of the schema message.
    pub const fn schema_offset(&self) -> u64 {
        self.index_offset() + self.index_entries * ENTRY_SIZE as u64
    }

    /// Bytes of the whole file.
    pub const fn file_size(&self) -> u64 {
        self.schema_offset() + self.schema_len
    }

    /// File offset of a monotonic byte offset of the data region.
    pub const fn data_at(&self, offset: u64) -> usize {
        HEADER_SIZE + (offset % self.capacity) as usize
    }

    /// File offset of the index entry of a sequence number.
    pub const fn entry_at(&self, sequence: u64) -> usize {
        (self.index_offset() + (sequence % self.index_entries) * ENTRY_SIZE as u64) as usize
    }
}

/// The header's words that never change, as bytes and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constants {
    /// The sizes.
    pub geometry: Geometry,
    /// The file's id.
    pub generation: [u8; 16],
    /// CRC-32 of the schema message.
    pub schema_crc: u32,
}

fn put(bytes: &mut [u8; HEADER_SIZE], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn u32_at(bytes: &[u8; HEADER_SIZE], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8; HEADER_SIZE], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn constants_crc(bytes: &[u8; HEADER_SIZE]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[MAGIC_AT..WRITE_HEAD_AT]);
    crc.update(&bytes[SCHEMA_LEN_AT..NEXT_SEQUENCE_AT]);
    crc.update(&bytes[INDEX_OFFSET_AT..HEADER_CRC_AT]);
    crc.finalize()
}

impl Constants {
    /// The header of an empty ring.
    pub fn to_header(&self, writer_pid: u32) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        let g = &self.geometry;
        put(&mut bytes, MAGIC_AT, &MAGIC.to_le_bytes());
        put(&mut bytes, CAPACITY_AT, &g.capacity.to_le_bytes());
        put(&mut bytes, SCHEMA_LEN_AT, &(g.schema_len as u32).to_le_bytes());
        put(&mut bytes, LAYOUT_VERSION_AT, &LAYOUT_VERSION.to_le_bytes());
        put(&mut bytes, GENERATION_AT, &self.generation);
        put(&mut bytes, WRITER_STATE_AT, &u64::from(writer_pid).to_le_bytes());
        put(&mut bytes, INDEX_OFFSET_AT, &g.index_offset().to_le_bytes());
        put(&mut bytes, INDEX_ENTRIES_AT, &g.index_entries.to_le_bytes());
        put(&mut bytes, SCHEMA_OFFSET_AT, &g.schema_offset().to_le_bytes());
        put(&mut bytes, SCHEMA_CRC_AT, &self.schema_crc.to_le_bytes());
        let crc = constants_crc(&bytes);
        put(&mut bytes, HEADER_CRC_AT, &crc.to_le_bytes());
        bytes
    }

    /// Checks a header against itself and the file's size.
    pub fn from_header(bytes: &[u8; HEADER_SIZE], file_size: u64) -> Result<Self, RingError> {
        let magic = u64_at(bytes, MAGIC_AT);
        if magic != MAGIC {
            return Err(RingError::corrupt(format!(
                "a ring begins with {MAGIC:#018x}; found {magic:#018x}"
            )));
        }
        let version = u32_at(bytes, LAYOUT_VERSION_AT);
        if version != LAYOUT_VERSION {
            return Err(RingError::corrupt(format!(
                "this program reads ring layout {LAYOUT_VERSION}; found layout {version}"
            )));
        }
        let (crc, found) = (constants_crc(bytes), u32_at(bytes, HEADER_CRC_AT));
        if crc != found {
            return Err(RingError::corrupt(format!(
                "the ring's header should have the checksum {crc:#010x}; found {found:#010x}"
            )));
        }
        let geometry = Geometry {
            capacity: u64_at(bytes, CAPACITY_AT),
            index_entries: u64_at(bytes, INDEX_ENTRIES_AT),
            schema_len: u64::from(u32_at(bytes, SCHEMA_LEN_AT)),
        };
        check_geometry(bytes, &geometry, file_size)?;
        Ok(Self {
            geometry,
            generation: std::array::from_fn(|i| bytes[GENERATION_AT + i]),
            schema_crc: u32_at(bytes, SCHEMA_CRC_AT),
        })
    }
}

fn check_geometry(
    bytes: &[u8; HEADER_SIZE],
    g: &Geometry,
    file_size: u64,
) -> Result<(), RingError> {
    let sane = g.capacity >= FRAME_SIZE as u64
        && g.capacity.is_multiple_of(ALIGNMENT)
        && g.capacity <= file_size
        && g.index_entries >= 2
        && g.index_entries <= file_size / ENTRY_SIZE as u64
        && g.schema_len <= MAX_SCHEMA_LEN
        && u64_at(bytes, INDEX_OFFSET_AT) == g.index_offset()
        && u64_at(bytes, SCHEMA_OFFSET_AT) == g.schema_offset();
    if !sane {
        return Err(RingError::corrupt(format!(
            "the ring's sizes contradict each other or the file of {file_size} bytes: \
             {} bytes of data, {} index entries, {} bytes of schema",
            g.capacity, g.index_entries, g.schema_len
        )));
    }
    check_file_size(g, file_size)
}

/// Refuses a file that is shorter than its header says.
pub fn check_file_size(geometry: &Geometry, file_size: u64) -> Result<(), RingError> {
    let wanted = geometry.file_size();
    if file_size < wanted {
        return Err(RingError::corrupt(format!(
            "the ring's file should have {wanted} bytes; it was cut to {file_size}"
        )));
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn constants() -> Constants {
        let geometry = Geometry::plan(4096, 512, 300).unwrap();
        Constants { geometry, generation: [7; 16], schema_crc: 0x1234_5678 }
    }

    #[test]
    fn a_header_comes_back() {
        let wanted = constants();
        let header = wanted.to_header(42);
        let found = Constants::from_header(&header, wanted.geometry.file_size()).unwrap();
        assert_eq!(found, wanted);
    }

    #[test]
    fn the_golden_header_is_written_and_read() {
        let golden = include_bytes!("../../tests/vectors/ring_header_v1.bin");
        let geometry = Geometry { capacity: 4096, index_entries: 1024, schema_len: 300 };
        let generation = std::array::from_fn(|i| i as u8);
        let wanted = Constants { geometry, generation, schema_crc: 0x1234_5678 };
        assert_eq!(wanted.to_header(4242), *golden);
        assert_eq!(Constants::from_header(golden, geometry.file_size()).unwrap(), wanted);
    }

    #[test]
    fn every_flipped_bit_of_the_constants_is_seen() {
        let wanted = constants();
        let header = wanted.to_header(42);
        let constant = (0..16).chain(32..56).chain(96..128);
        for byte in constant {
            for bit in 0..8 {
                let mut damaged = header;
                damaged[byte] ^= 1 << bit;
                let found = Constants::from_header(&damaged, wanted.geometry.file_size());
                assert!(matches!(found, Err(RingError::Corrupt(_))), "byte {byte} bit {bit}");
            }
        }
    }

    #[test]
    fn a_short_file_is_refused() {
        let wanted = constants();
        let size = wanted.geometry.file_size() - 1;
        let found = Constants::from_header(&wanted.to_header(1), size);
        assert!(matches!(found, Err(RingError::Corrupt(_))));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        assert!(record_len(449, 512).is_err());
        assert_eq!(record_len(448, 512).unwrap(), 512);
        assert!(record_len(u64::MAX, 512).is_err());
        assert!(Geometry::plan(u64::MAX, 512, 0).is_err());
    }
}
