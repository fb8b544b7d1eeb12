//! Voltages against something else than the board's own reference.
#![allow(unsafe_code, reason = "vectors over memory whose size was checked")]

use super::{Lanes, Work};

/// Multiplies each row of channels by a matrix.
#[derive(Debug)]
pub struct Matrix<'a> {
    /// Rows, changed in place.
    pub rows: &'a mut [f32],
    /// Numbers from a row to the next.
    pub stride: usize,
    /// Channels; those beyond stay as they are.
    pub channels: usize,
    /// `[from][to]`, rows padded to `width`.
    pub weights: &'a [f32],
    /// Numbers from a row of the matrix to the next, a multiple of 16.
    pub width: usize,
    /// Room for a row.
    pub row: &'a mut [f32],
}

impl Work for Matrix<'_> {
    #[inline(always)]
    unsafe fn run<S: Lanes, D: Lanes>(self) {
        assert!(self.row.len() >= self.width && self.stride >= self.width);
        assert!(self.weights.len() >= self.channels * self.width);
        for row in self.rows.chunks_exact_mut(self.stride) {
            self.row[..self.width].copy_from_slice(&row[..self.width]);
            for lane in (0..self.width).step_by(S::N) {
                // SAFETY: rows and weights are as wide as asserted; so below.
                let mut sum = unsafe { S::splat(0.0) };
                for (channel, value) in self.row[..self.channels].iter().enumerate() {
                    // SAFETY: as above.
                    unsafe {
                        let weight =
                            S::load(self.weights.as_ptr().add(channel * self.width + lane));
                        sum = S::splat(f64::from(*value)).mul_add(weight, sum);
                    }
                }
                // SAFETY: as above.
                unsafe { sum.store(row.as_mut_ptr().add(lane)) };
            }
        }
    }
}

/// Subtracts the mean of all channels from each.
pub fn subtract_mean(rows: &mut [f32], stride: usize, channels: usize) {
    for row in rows.chunks_exact_mut(stride) {
        let sum: f64 = row[..channels].iter().map(|value| f64::from(*value)).sum();
        let mean = (sum / channels as f64) as f32;
        row[..channels].iter_mut().for_each(|value| *value -= mean);
    }
}

/// Subtracts one channel from each.
pub fn subtract_channel(rows: &mut [f32], stride: usize, channels: usize, reference: usize) {
    for row in rows.chunks_exact_mut(stride) {
        let base = row[reference];
        row[..channels].iter_mut().for_each(|value| *value -= base);
    }
}
