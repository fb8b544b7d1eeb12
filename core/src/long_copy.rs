//! What processors are told about their caches: what a copy should leave alone, and what is to come.
//! One of the places with `unsafe`.
#![allow(unsafe_code)]

/// Copies of so many bytes, as many as the nearest cache has, go past the caches: the writer does not
/// look at them again, and fetching the old contents of each line before it is overwritten takes as long
/// as writing it. Readers on other processors would have to fetch them from this one's cache; to fetch
/// them from memory takes them as long.
#[cfg(target_arch = "x86_64")]
const LONG: usize = 32 << 10;
/// Bytes that the caches fetch at once.
pub const LINE: usize = 64;

/// Begins to fetch the line at an address for writing, whoever has it now.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn expect_line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};

    // SAFETY: every processor of this kind takes the hint or passes over it, and none faults on it.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(at.cast()) };
}

/// Others have no such hint that Rust could give.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn expect_line(_: *const u8) {}

/// Begins to fetch the line at an address for reading.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn fetch_line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    // SAFETY: no processor faults on the hint.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

/// Others have no such hint that Rust could give.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn fetch_line(_: *const u8) {}

/// Copies bytes, long runs of them without fetching what they overwrite.
///
/// # Safety
///
/// `to` is valid for writing `from.len()` bytes, which are not part of `from`.
#[cfg(target_arch = "x86_64")]
#[inline]
pub unsafe fn copy_past_caches(from: &[u8], to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        if from.len() < LONG {
            std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len());
        } else {
            copy_long(from, to);
        }
    }
}

/// # Safety
///
/// As above.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
unsafe fn copy_long(from: &[u8], to: *mut u8) {
    use std::arch::x86_64::_mm_sfence;

    let head = to.align_offset(LINE).min(from.len());
    let lines = (from.len() - head) / LINE;
    let tail = head + lines * LINE;
    // SAFETY: the three parts are those of the caller's promise, and the middle one begins at a line.
    // Streamed stores keep no order with others, and the protocol relies on that of plain ones: what was
    // stored before (that the old records are gone) must be seen before them, and what is stored
    // afterwards (the commit) after them. So there is a fence on either side.
    unsafe {
        std::ptr::copy_nonoverlapping(from.as_ptr(), to, head);
        _mm_sfence();
        stream(from.as_ptr().add(head), to.add(head), lines);
        _mm_sfence();
        std::ptr::copy_nonoverlapping(from.as_ptr().add(tail), to.add(tail), from.len() - tail);
    }
}

/// Copies whole lines.
///
/// # Safety
///
/// Both are valid for so many lines, which do not overlap, and `to` begins at a line.
#[cfg(target_arch = "x86_64")]
unsafe fn stream(from: *const u8, to: *mut u8, lines: usize) {
    use std::arch::x86_64::{
        __m128i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_stream_si128,
    };

    /// So far ahead the source is fetched.
    const AHEAD: usize = 16 * LINE;
    for line in 0..lines {
        // SAFETY: in bounds by the caller's promise, each part aligned to 16 bytes at the destination; a
        // prefetch beyond the end faults nowhere.
        unsafe {
            let (from, to) = (from.add(line * LINE), to.add(line * LINE));
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD).cast());
            let (from, to) = (from.cast::<__m128i>(), to.cast::<__m128i>());
            let parts: [__m128i; 4] = std::array::from_fn(|part| _mm_loadu_si128(from.add(part)));
            for (part, bytes) in parts.into_iter().enumerate() {
                _mm_stream_si128(to.add(part), bytes);
            }
        }
    }
}

/// Copies bytes; other processors decide by themselves what goes past their caches.
///
/// # Safety
///
/// `to` is valid for writing `from.len()` bytes, which are not part of `from`.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub unsafe fn copy_past_caches(from: &[u8], to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
}

#[cfg(test)]
mod tests {
    use super::copy_past_caches;

    #[test]
    fn every_byte_arrives_wherever_both_begin() {
        const LONGEST: usize = 300 << 10;
        let source: Vec<u8> = (0..LONGEST + 128).map(|n| (n * 31 % 251) as u8).collect();
        for (len, from, to) in
            [(0, 0, 0), (100, 3, 5), (LONGEST, 0, 0), (LONGEST, 1, 63), (LONGEST - 7, 17, 32)]
        {
            let mut room = vec![0xff; LONGEST + 128];
            let given = &source[from..from + len];
            // SAFETY: there is room for the longest one behind each place.
            unsafe { copy_past_caches(given, room.as_mut_ptr().add(to)) };
            assert!(room[..to].iter().all(|byte| *byte == 0xff));
            assert_eq!(&room[to..to + len], given);
            assert!(room[to + len..].iter().all(|byte| *byte == 0xff));
        }
    }
}
