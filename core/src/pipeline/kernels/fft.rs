//! The Fourier transform of all channels at once, one lane a channel.
//!
//! A real signal of N numbers is a complex one of N/2, transformed in place by passes of radix 4
//! (the last one of radix 2 where needed) whose results lie in reversed order, and then taken apart.
#![allow(unsafe_code, reason = "vectors over memory whose size was checked")]

use std::f64::consts::TAU;

use super::{Isa, Lanes, Work};
use crate::error::RingError;

/// The longest transform.
const LONGEST: usize = 1 << 16;
/// The widest vector, in floats.
const WIDEST: usize = 16;

/// What is kept of a spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spectrum {
    /// Two rows a frequency: real and imaginary part.
    Complex,
    /// One row a frequency: the absolute value.
    Magnitude,
    /// One row a frequency: the square of that.
    Power,
}

impl Spectrum {
    /// The one of a name such as `power`.
    pub fn from_name(name: &str) -> Option<Self> {
        let all =
            [(Self::Complex, "complex"), (Self::Magnitude, "magnitude"), (Self::Power, "power")];
        all.into_iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Rows for so many frequencies.
    pub fn rows(self, bins: usize) -> usize {
        if self == Self::Complex { 2 * bins } else { bins }
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Vector([f32; WIDEST]);

/// A transform of fixed length.
pub struct RealFft {
    isa: Isa,
    plan: Plan,
    scratch: Box<[Vector]>,
}

/// What never changes in a transform.
struct Plan {
    len: usize,
    window: Vec<f32>,
    /// For each pass but the last: three factors for each butterfly of a block.
    passes: Vec<Vec<[f32; 6]>>,
    /// Where each complex result lies.
    places: Vec<u32>,
    /// For each frequency up to a quarter: the factor that joins the halves.
    joints: Vec<[f32; 2]>,
}

impl std::fmt::Debug for RealFft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RealFft").field("len", &self.plan.len).finish_non_exhaustive()
    }
}

fn root(power: usize, of: usize) -> [f32; 2] {
    let angle = -TAU * power as f64 / of as f64;
    [angle.cos() as f32, angle.sin() as f32]
}

/// Where result `k` of a transform of `len` lies after passes in place.
fn place(k: usize, len: usize) -> usize {
    match len {
        1 => 0,
        2 => k,
        _ => (k % 4) * (len / 4) + place(k / 4, len / 4),
    }
}

impl RealFft {
    /// A transform of a power of two of at least 8 numbers; shorter windows are padded with zeros.
    pub fn new(len: usize, window: &[f64], isa: Isa) -> Result<Self, RingError> {
        if !len.is_power_of_two() || !(8..=LONGEST).contains(&len) || window.len() > len {
            return Err(RingError::Invalid(format!(
                "a transform needs a power of two from 8 to {LONGEST}, and a window no longer; found \
                 {len} and {}",
                window.len()
            )));
        }
        let half = len / 2;
        let mut passes = Vec::new();
        let mut block = half;
        while block >= 4 {
            let roots = |j: usize| {
                let factors = [1, 2, 3].map(|times| root(j * times, block));
                std::array::from_fn(|i| factors[i / 2][i % 2])
            };
            passes.push((0..block / 4).map(roots).collect());
            block /= 4;
        }
        let plan = Plan {
            len,
            window: window.iter().map(|w| *w as f32).collect(),
            passes,
            places: (0..half).map(|k| place(k, half) as u32).collect(),
            joints: (0..=half / 2).map(|k| root(k, len)).collect(),
        };
        let scratch = vec![Vector([0.0; WIDEST]); 2 * half].into_boxed_slice();
        Ok(Self { isa, plan, scratch })
    }

    /// Numbers in, padding included.
    pub fn len(&self) -> usize {
        self.plan.len
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Numbers that the window takes.
    pub fn window_len(&self) -> usize {
        self.plan.window.len()
    }

    /// Frequencies out.
    pub fn bins(&self) -> usize {
        self.plan.len / 2 + 1
    }

    /// Transforms rows of all channels.
    ///
    /// `from` has at least as many rows as the window, `to` as many as the spectrum, each with the
    /// given strides; lanes are a multiple of 16 and no more than a stride.
    pub fn run(
        &mut self,
        from: &[f32],
        from_stride: usize,
        to: &mut [f32],
        to_stride: usize,
        lanes: usize,
        keep: Spectrum,
    ) {
        let (rows_in, rows_out) = (self.plan.window.len(), keep.rows(self.bins()));
        assert!(lanes <= from_stride && lanes <= to_stride && lanes.is_multiple_of(WIDEST));
        assert!(from.len() >= rows_in * from_stride && to.len() >= rows_out * to_stride);
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        let (plan, scratch) = (&self.plan, self.scratch.as_mut_ptr().cast());
        self.isa.run(Run { plan, scratch, from, from_stride, to, to_stride, lanes, keep });
    }
}

struct Run<'a> {
    plan: &'a Plan,
    scratch: *mut f32,
    from: *const f32,
    from_stride: usize,
    to: *mut f32,
    to_stride: usize,
    lanes: usize,
    keep: Spectrum,
}

/// A complex number in each lane.
#[derive(Clone, Copy)]
struct Complex<L>(L, L);

impl<L: Lanes> Complex<L> {
    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self {
        // SAFETY: the caller's contract; so below.
        unsafe { Self(L::load(at), L::load(at.add(WIDEST))) }
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut f32) {
        // SAFETY: as above.
        unsafe {
            self.0.store(at);
            self.1.store(at.add(WIDEST));
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(self.0.add(other.0), self.1.add(other.1)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(self.0.sub(other.0), self.1.sub(other.1)) }
    }

    /// Times `re + i im`.
    #[inline(always)]
    unsafe fn times(self, re: f32, im: f32) -> Self {
        // SAFETY: as above.
        unsafe {
            let (re, im) = (L::splat(f64::from(re)), L::splat(f64::from(im)));
            Self(im.mul_sub_from(self.1, re.mul(self.0)), im.mul_add(self.0, re.mul(self.1)))
        }
    }
}

/// Four complex numbers into the four of their transform.
#[inline(always)]
unsafe fn four<L: Lanes>([a, b, c, d]: [Complex<L>; 4]) -> [Complex<L>; 4] {
    // SAFETY: the caller's contract.
    unsafe {
        let (sum, difference) = (a.add(c), a.sub(c));
        let (other_sum, other) = (b.add(d), b.sub(d));
        [
            sum.add(other_sum),
            Complex(difference.0.add(other.1), difference.1.sub(other.0)),
            sum.sub(other_sum),
            Complex(difference.0.sub(other.1), difference.1.add(other.0)),
        ]
    }
}

/// The same, the last three times their factors, into their places.
#[inline(always)]
unsafe fn butterfly<L: Lanes>(z: [Complex<L>; 4], factors: &[f32; 6], to: [*mut f32; 4]) {
    // SAFETY: the caller's contract.
    unsafe {
        let [first, second, third, fourth] = four(z);
        first.store(to[0]);
        second.times(factors[0], factors[1]).store(to[1]);
        third.times(factors[2], factors[3]).store(to[2]);
        fourth.times(factors[4], factors[5]).store(to[3]);
    }
}

impl Work for Run<'_> {
    #[inline(always)]
    unsafe fn run<S: Lanes, D: Lanes>(self) {
        for lane in (0..self.lanes).step_by(S::N) {
            // SAFETY: `RealFft::run` has checked that all rows are there, and the scratch holds half
            // as many complex vectors as the transform is long.
            unsafe {
                self.first_pass::<S>(lane);
                self.other_passes::<S>();
                match self.keep {
                    Spectrum::Complex => self.take_apart::<S, 0>(lane),
                    Spectrum::Magnitude => self.take_apart::<S, 1>(lane),
                    Spectrum::Power => self.take_apart::<S, 2>(lane),
                }
            }
        }
    }
}

impl Run<'_> {
    /// Where a complex vector lies.
    #[inline(always)]
    unsafe fn at(&self, index: usize) -> *mut f32 {
        // SAFETY: the caller keeps the index below half of the length.
        unsafe { self.scratch.add(2 * WIDEST * index) }
    }

    /// A number of the windowed signal; 0 beyond the window.
    #[inline(always)]
    unsafe fn one<L: Lanes>(&self, i: usize, lane: usize) -> L {
        // SAFETY: there is a row for each number of the window.
        unsafe {
            if i >= self.plan.window.len() {
                return L::splat(0.0);
            }
            let weight = L::splat(f64::from(*self.plan.window.get_unchecked(i)));
            L::load(self.from.add(i * self.from_stride + lane)).mul(weight)
        }
    }

    /// Numbers 2j and 2j + 1.
    #[inline(always)]
    unsafe fn pair<L: Lanes>(&self, j: usize, lane: usize) -> Complex<L> {
        // SAFETY: the caller's contract.
        unsafe { Complex(self.one(2 * j, lane), self.one(2 * j + 1, lane)) }
    }

    /// Where the four vectors of a butterfly lie.
    #[inline(always)]
    unsafe fn four_at(&self, first: usize, step: usize) -> [*mut f32; 4] {
        // SAFETY: the caller's contract.
        unsafe {
            [
                self.at(first),
                self.at(first + step),
                self.at(first + 2 * step),
                self.at(first + 3 * step),
            ]
        }
    }

    // No closures and no `map` here: what is not inlined is not compiled for the instructions.
    #[inline(always)]
    unsafe fn first_pass<L: Lanes>(&self, lane: usize) {
        let quarter = self.plan.len / 8;
        for (j, factors) in self.plan.passes[0].iter().enumerate() {
            // SAFETY: the caller's contract.
            unsafe {
                let z = [
                    self.pair::<L>(j, lane),
                    self.pair::<L>(j + quarter, lane),
                    self.pair::<L>(j + 2 * quarter, lane),
                    self.pair::<L>(j + 3 * quarter, lane),
                ];
                butterfly(z, factors, self.four_at(j, quarter));
            }
        }
    }

    #[inline(always)]
    unsafe fn other_passes<L: Lanes>(&self) {
        let half = self.plan.len / 2;
        let mut block = half / 4;
        for factors in &self.plan.passes[1..] {
            for (j, factors) in factors.iter().enumerate() {
                let mut start = j;
                while start < half {
                    // SAFETY: the caller's contract.
                    unsafe {
                        let at = self.four_at(start, block / 4);
                        let z = [
                            Complex::<L>::load(at[0]),
                            Complex::<L>::load(at[1]),
                            Complex::<L>::load(at[2]),
                            Complex::<L>::load(at[3]),
                        ];
                        butterfly(z, factors, at);
                    }
                    start += block;
                }
            }
            block /= 4;
        }
        if block == 2 {
            // SAFETY: the caller's contract.
            unsafe { self.last_pass::<L>(half) };
        }
    }

    #[inline(always)]
    unsafe fn last_pass<L: Lanes>(&self, half: usize) {
        let mut start = 0;
        while start < half {
            // SAFETY: the caller's contract.
            unsafe {
                let (first, second) = (self.at(start), self.at(start + 1));
                let (a, b) = (Complex::<L>::load(first), Complex::<L>::load(second));
                a.add(b).store(first);
                a.sub(b).store(second);
            }
            start += 2;
        }
    }

    #[inline(always)]
    unsafe fn take_apart<L: Lanes, const KEEP: u8>(&self, lane: usize) {
        let half = self.plan.len / 2;
        // SAFETY: the caller's contract.
        unsafe {
            let first = Complex::<L>::load(self.at(self.plan.places[0] as usize));
            let zero = L::splat(0.0);
            self.put::<L, KEEP>(0, lane, Complex(first.0.add(first.1), zero));
            self.put::<L, KEEP>(half, lane, Complex(first.0.sub(first.1), zero));
            let scale = L::splat(0.5);
            for k in 1..=half / 2 {
                let z = Complex::<L>::load(self.at(self.plan.places[k] as usize));
                let mirror = Complex::<L>::load(self.at(self.plan.places[half - k] as usize));
                let even = Complex(z.0.add(mirror.0).mul(scale), z.1.sub(mirror.1).mul(scale));
                let odd = Complex(z.1.add(mirror.1).mul(scale), mirror.0.sub(z.0).mul(scale));
                let [re, im] = self.plan.joints[k];
                let odd = odd.times(re, im);
                self.put::<L, KEEP>(k, lane, even.add(odd));
                let other = even.sub(odd);
                self.put::<L, KEEP>(half - k, lane, Complex(other.0, zero.sub(other.1)));
            }
        }
    }

    #[inline(always)]
    unsafe fn put<L: Lanes, const KEEP: u8>(&self, k: usize, lane: usize, value: Complex<L>) {
        // SAFETY: the caller's contract.
        unsafe {
            let rows = if KEEP == 0 { 2 * k } else { k };
            let to = self.to.add(rows * self.to_stride + lane);
            if KEEP == 0 {
                value.0.store(to);
                value.1.store(to.add(self.to_stride));
                return;
            }
            let power = value.0.mul_add(value.0, value.1.mul(value.1));
            if KEEP == 1 { power.sqrt().store(to) } else { power.store(to) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::hann;
    use super::*;

    fn signal(rows: usize, lanes: usize) -> Vec<f32> {
        let value = |i: usize| ((i * 7919 % 1000) as f32 / 500.0 - 1.0) * (1 + i % lanes) as f32;
        (0..rows * lanes).map(value).collect()
    }

    fn slow(
        signal: &[f32],
        lanes: usize,
        channel: usize,
        window: &[f64],
        len: usize,
    ) -> Vec<[f64; 2]> {
        let bin = |k: usize| {
            window.iter().enumerate().fold([0.0, 0.0], |sum, (i, weight)| {
                let angle = -TAU * (k * i % len) as f64 / len as f64;
                let value = f64::from(signal[i * lanes + channel]) * weight;
                [sum[0] + value * angle.cos(), sum[1] + value * angle.sin()]
            })
        };
        (0..=len / 2).map(bin).collect()
    }

    fn compare(isa: Isa, len: usize, rows: usize) {
        let (lanes, window) = (32, hann(rows));
        let samples = signal(rows, lanes);
        let mut fft = RealFft::new(len, &window, isa).unwrap();
        let mut out = vec![0.0; Spectrum::Complex.rows(fft.bins()) * lanes];
        fft.run(&samples, lanes, &mut out, lanes, lanes, Spectrum::Complex);
        let mut power = vec![0.0; fft.bins() * lanes];
        fft.run(&samples, lanes, &mut power, lanes, lanes, Spectrum::Power);
        for channel in [0, 5, 31] {
            let wanted = slow(&samples, lanes, channel, &window, len);
            let most = wanted.iter().map(|[re, im]| re.hypot(*im)).fold(0.0, f64::max);
            for (k, [re, im]) in wanted.iter().enumerate() {
                let found = [out[2 * k * lanes + channel], out[(2 * k + 1) * lanes + channel]];
                let error = (f64::from(found[0]) - re).hypot(f64::from(found[1]) - im);
                assert!(error < 1e-6 * most, "{isa:?} {len} {k}: {error} of {most}");
                let found = f64::from(power[k * lanes + channel]);
                assert!((found - re * re - im * im).abs() < 4e-6 * most * most);
            }
        }
    }

    #[test]
    fn every_set_of_instructions_transforms_as_the_definition_says() {
        for isa in Isa::all() {
            for (len, rows) in [(8, 8), (16, 13), (32, 32), (256, 256), (512, 400), (1024, 1000)] {
                compare(isa, len, rows);
            }
        }
    }

    #[test]
    fn a_length_that_is_no_power_of_two_is_refused() {
        for len in [0, 4, 400, 1 << 17] {
            assert!(RealFft::new(len, &[], Isa::Plain).is_err());
        }
        assert!(RealFft::new(8, &[1.0; 9], Isa::Plain).is_err());
    }
}
