//! The 64 bytes before each record: what it is, and a checksum that proves they belong together.

use std::mem::offset_of;

use crate::checksum::checksum;
use crate::error::RingError;
use crate::layout::{ALIGNMENT, FRAME_SIZE, FrameLayout, SYNC_RECORD, SYNC_SKIP};

/// A record's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frame {
    /// Filler at the end of the data region; everything but `length` is 0.
    pub skip: bool,
    /// Bytes of the record, frame and padding included.
    pub length: u64,
    /// The record's sequence number.
    pub sequence: u64,
    /// Time of the first row.
    pub first_nanos: i64,
    /// Time of the last row.
    pub last_nanos: i64,
    /// Rows in all records before this one.
    pub first_row: u64,
    /// Rows of this record.
    pub rows: u64,
    /// Bytes of the payload.
    pub payload_len: u64,
}

#[inline(always)]
fn word(bytes: &[u8; FRAME_SIZE], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[inline(always)]
fn sync_and_crc(bytes: &[u8; FRAME_SIZE]) -> (u32, u32) {
    let first = word(bytes, 0);
    (first as u32, (first >> 32) as u32)
}

impl Frame {
    /// The filler for the rest of the data region.
    pub fn filler(length: u64) -> Self {
        Self { skip: true, length, ..Self::default() }
    }

    /// The frame as bytes.
    #[inline(always)]
    pub fn to_bytes(&self) -> [u8; FRAME_SIZE] {
        let mut bytes = [0; FRAME_SIZE];
        let sync = if self.skip { SYNC_SKIP } else { SYNC_RECORD };
        let words = [
            self.length,
            self.sequence,
            self.first_nanos as u64,
            self.last_nanos as u64,
            self.first_row,
            self.rows,
            self.payload_len,
        ];
        for (chunk, value) in bytes[8..].chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&value.to_le_bytes());
        }
        let crc = checksum(&bytes);
        bytes[..4].copy_from_slice(&sync.to_le_bytes());
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Checks the bytes of a frame that has `room` bytes before the end of the data region.
    #[inline(always)]
    pub fn from_bytes(bytes: &[u8; FRAME_SIZE], room: u64) -> Result<Self, RingError> {
        Self::sound(bytes, room).ok_or_else(|| Self::damage(bytes, room))
    }

    /// The same for who need not know what is wrong. One way out alone: each other one would be paid
    /// for with copies of the frame.
    #[inline(always)]
    pub fn sound(bytes: &[u8; FRAME_SIZE], room: u64) -> Option<Self> {
        let (sync, crc) = sync_and_crc(bytes);
        let frame = Self::of(bytes);
        let is_sound = (sync == SYNC_RECORD || sync == SYNC_SKIP)
            && crc == checksum(bytes)
            && frame.length >= FRAME_SIZE as u64
            && frame.length.is_multiple_of(ALIGNMENT)
            && frame.length <= room
            && frame.payload_len <= frame.length - FRAME_SIZE as u64;
        is_sound.then_some(frame)
    }

    /// What the bytes say, whatever that is.
    #[inline(always)]
    fn of(bytes: &[u8; FRAME_SIZE]) -> Self {
        Self {
            skip: sync_and_crc(bytes).0 == SYNC_SKIP,
            length: word(bytes, offset_of!(FrameLayout, length)),
            sequence: word(bytes, offset_of!(FrameLayout, sequence)),
            first_nanos: word(bytes, offset_of!(FrameLayout, first_nanos)) as i64,
            last_nanos: word(bytes, offset_of!(FrameLayout, last_nanos)) as i64,
            first_row: word(bytes, offset_of!(FrameLayout, first_row)),
            rows: word(bytes, offset_of!(FrameLayout, rows)),
            payload_len: word(bytes, offset_of!(FrameLayout, payload_len)),
        }
    }

    /// What is wrong with bytes that are no frame.
    #[cold]
    fn damage(bytes: &[u8; FRAME_SIZE], room: u64) -> RingError {
        let ((sync, crc), wanted) = (sync_and_crc(bytes), checksum(bytes));
        let Self { length, payload_len, .. } = Self::of(bytes);
        RingError::corrupt(if sync != SYNC_RECORD && sync != SYNC_SKIP {
            format!("a record begins with {SYNC_RECORD:#010x}; found {sync:#010x}")
        } else if crc != wanted {
            format!("the record's frame should have the checksum {wanted:#010x}; found {crc:#010x}")
        } else {
            format!(
                "a record of {length} bytes with {payload_len} bytes of payload cannot lie where \
                 {room} bytes are left"
            )
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame {
            skip: false,
            length: 512,
            sequence: u64::MAX - 1,
            first_nanos: -5,
            last_nanos: i64::MAX,
            first_row: 1 << 53,
            rows: 100,
            payload_len: 448,
        }
    }

    #[test]
    fn a_frame_comes_back() {
        assert_eq!(Frame::from_bytes(&frame().to_bytes(), 512).unwrap(), frame());
        let filler = Frame::filler(64);
        assert_eq!(Frame::from_bytes(&filler.to_bytes(), 64).unwrap(), filler);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = frame().to_bytes();
        for bit in 0..FRAME_SIZE * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::from_bytes(&damaged, 1 << 20).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_length_beyond_the_data_region_is_refused() {
        assert!(Frame::from_bytes(&frame().to_bytes(), 448).is_err());
        let small = Frame { length: 0, payload_len: 0, ..frame() };
        assert!(Frame::from_bytes(&small.to_bytes(), 512).is_err());
    }
}
