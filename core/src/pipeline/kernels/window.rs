//! Windows.

use std::f64::consts::TAU;

/// The periodic Hann window, as `scipy.signal.get_window("hann", len)`.
pub fn hann(len: usize) -> Vec<f64> {
    (0..len).map(|i| 0.5 - 0.5 * (TAU * i as f64 / len as f64).cos()).collect()
}
