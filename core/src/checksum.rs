//! The checksum of a frame. One of the places with `unsafe`.
//!
//! It is CRC-32 as zlib has it, of the 56 bytes behind a frame's first word. Any CRC-32 gives the same;
//! this one takes a third of the instructions of one for any length, in one place. A record costs two
//! of them, and a writer that pauses finds nothing of them in its caches.
#![allow(unsafe_code, reason = "instructions that not every processor has")]

use crate::layout::FRAME_SIZE;

/// The checksum of all but the first 8 bytes.
#[inline(always)]
pub fn checksum(frame: &[u8; FRAME_SIZE]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("pclmulqdq") {
        // SAFETY: this processor has the instructions.
        return unsafe { folded(frame) };
    }
    crc32fast::hash(&frame[8..])
}

/// Multiplication without carry, 128 bits folded onto the next 128, and Barrett's reduction at the end.
///
/// Zeros before a message change nothing in a checksum that begins at zero, and to begin at ones, as
/// CRC-32 does, is to invert the first four bytes. So the first word counts as zeros, and nothing is
/// left over at the end.
///
/// V. Gopal and others, *Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction*,
/// Intel 2009, with its constants for this polynomial, bits reflected.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "pclmulqdq")]
fn folded(frame: &[u8; FRAME_SIZE]) -> u32 {
    use std::arch::x86_64::{
        _mm_and_si128, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_srli_si128,
        _mm_xor_si128,
    };

    // x^(128+32) and x^(128-32), x^64, the polynomial and its inverse.
    let fold = _mm_set_epi64x(0x0_ccaa_009e, 0x1_7519_97d0);
    let halve = _mm_set_epi64x(0, 0x1_63cd_6124);
    let reduce = _mm_set_epi64x(0x1_f701_1641, 0x1_db71_0641);
    let low = _mm_set_epi64x(0, 0xffff_ffff);

    let word = |at: usize| i64::from_le_bytes(std::array::from_fn(|byte| frame[at + byte]));
    let mut sum = _mm_set_epi64x(word(8) ^ 0xffff_ffff, 0);
    for at in [16, 32, 48] {
        let folded = _mm_xor_si128(
            _mm_clmulepi64_si128(sum, fold, 0x00),
            _mm_clmulepi64_si128(sum, fold, 0x11),
        );
        sum = _mm_xor_si128(folded, _mm_set_epi64x(word(at + 8), word(at)));
    }
    sum = _mm_xor_si128(_mm_clmulepi64_si128(sum, fold, 0x10), _mm_srli_si128(sum, 8));
    let rest = _mm_srli_si128(sum, 4);
    sum = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(sum, low), halve, 0x00), rest);
    let inverse = _mm_clmulepi64_si128(_mm_and_si128(sum, low), reduce, 0x10);
    let multiple = _mm_clmulepi64_si128(_mm_and_si128(inverse, low), reduce, 0x00);
    let remainder = _mm_cvtsi128_si64(_mm_xor_si128(sum, multiple)) >> 32;
    !(remainder as u32)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_crc_32_of_all_but_the_first_word(
            frame in proptest::array::uniform32(any::<[u8; 2]>())
        ) {
            let frame: [u8; FRAME_SIZE] = std::array::from_fn(|at| frame[at / 2][at % 2]);
            prop_assert_eq!(checksum(&frame), crc32fast::hash(&frame[8..]));
        }
    }
}
