//! A cascade of second-order sections over all channels at once, its state carried on.
#![allow(unsafe_code, reason = "vectors over memory whose size was checked")]

use super::{Isa, Lanes, Work};
use crate::error::RingError;
use crate::pipeline::slab::LANE_STEP;

/// Sections that run over the samples together, so that their states stay in registers.
const TOGETHER: usize = 5;
/// Smaller than this, a state is silence; numbers near the smallest double are slow.
const SILENCE: f64 = 1e-200;
/// The same for floats.
const SILENCE_F32: f32 = 1e-30;

/// Coefficients that differ by less, relatively, were meant to be the same: designs round.
const SAME: f64 = 1e-12;

/// One section as `scipy.signal` writes it: b0, b1, b2, a0, a1, a2.
pub type Section = [f64; 6];

/// What the arithmetic and the state are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Floats: faster, and off by about 5e-4 with poles as near as 1 Hz at 4 kHz.
    F32,
    /// Doubles.
    F64,
}

/// A section in the form of the loop.
#[derive(Debug, Clone, Copy)]
struct Step {
    b: [f64; 3],
    a: [f64; 2],
}

/// Silences what is next to nothing; whether all numbers are finite.
macro_rules! calm {
    ($state:expr, $silence:expr) => {{
        let mut sane = true;
        for value in $state.iter_mut() {
            sane &= value.is_finite();
            if value.abs() < $silence {
                *value = 0.0;
            }
        }
        sane
    }};
}

/// Where the samples are.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Numbers, counts or floats.
    pub from: *const f32,
    /// Where the results go; may be the same place.
    pub to: *mut f32,
    /// Numbers from a row to the next, there.
    pub from_stride: usize,
    /// Here.
    pub to_stride: usize,
    /// Rows.
    pub rows: usize,
    /// Lanes, a multiple of 16.
    pub lanes: usize,
    /// The numbers are counts.
    pub counts: bool,
}

/// A filter for a number of channels.
#[derive(Debug)]
pub struct Cascade {
    isa: Isa,
    precision: Precision,
    lanes: usize,
    sections: Vec<Section>,
    steps: Vec<Step>,
    gain: f64,
    /// All sections begin with 1 and end with 1 above, as those with zeros on the unit circle do.
    unit: bool,
    /// `[section][2][lane]`
    state: State,
}

#[derive(Debug)]
enum State {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

fn check(sections: &[Section]) -> Result<(), RingError> {
    let sane = |section: &Section| section.iter().all(|c| c.is_finite()) && section[3] != 0.0;
    if sections.is_empty() || !sections.iter().all(sane) {
        return Err(RingError::Invalid(format!(
            "a filter needs sections of six finite numbers with a0 other than 0; found {sections:?}"
        )));
    }
    let stable = |s: &Section| {
        let (a1, a2) = (s[4] / s[3], s[5] / s[3]);
        a2.abs() <= 1.0 && a1.abs() <= 1.0 + a2
    };
    match sections.iter().position(|section| !stable(section)) {
        None => Ok(()),
        Some(index) => Err(RingError::Invalid(format!(
            "a filter's poles must lie within the unit circle; section {index} is {:?}",
            sections[index]
        ))),
    }
}

impl Cascade {
    /// A silent filter for so many channels.
    pub fn new(
        sections: &[Section],
        channels: usize,
        precision: Precision,
        isa: Isa,
    ) -> Result<Self, RingError> {
        check(sections)?;
        let lanes = channels.next_multiple_of(LANE_STEP);
        let numbers = sections.len() * 2 * lanes;
        let state = match precision {
            Precision::F32 => State::F32(vec![0.0; numbers]),
            Precision::F64 => State::F64(vec![0.0; numbers]),
        };
        let (steps, gain, unit) = (Vec::new(), 1.0, false);
        let sections = sections.to_vec();
        let mut made = Self { isa, precision, lanes, sections, steps, gain, unit, state };
        made.arrange();
        Ok(made)
    }

    /// Puts the sections into the form of the loop.
    fn arrange(&mut self) {
        let plain = self.sections.iter().map(|[b0, b1, b2, a0, a1, a2]| Step {
            b: [b0 / a0, b1 / a0, b2 / a0],
            a: [a1 / a0, a2 / a0],
        });
        let plain: Vec<Step> = plain.collect();
        let is_unit = |b: &[f64; 3]| b[0] != 0.0 && (b[2] / b[0] - 1.0).abs() < SAME;
        self.unit = plain.iter().all(|step| is_unit(&step.b));
        self.gain = 1.0;
        self.steps = plain;
        if self.unit {
            for step in &mut self.steps {
                self.gain *= step.b[0];
                step.b = [1.0, step.b[1] / step.b[0], 1.0];
            }
        }
    }

    /// How much larger each section's state is than with the gain where it was designed.
    fn state_scales(&self) -> Vec<f64> {
        let mut scale = 1.0;
        let mut scales: Vec<f64> = self
            .sections
            .iter()
            .rev()
            .map(|section| {
                let found = scale;
                if self.unit {
                    scale *= section[0] / section[3];
                }
                found
            })
            .collect();
        scales.reverse();
        scales
    }

    /// Goes on with other sections. As many as before keep the state; another number starts anew.
    pub fn set_sections(&mut self, sections: &[Section]) -> Result<(), RingError> {
        check(sections)?;
        if sections.len() != self.sections.len() {
            *self = Self::new(sections, self.lanes, self.precision, self.isa)?;
            return Ok(());
        }
        let before = self.state_scales();
        self.sections = sections.to_vec();
        self.arrange();
        let after = self.state_scales();
        let each = 2 * self.lanes;
        for (index, (before, after)) in before.iter().zip(&after).enumerate() {
            let places = index * each..(index + 1) * each;
            match &mut self.state {
                State::F32(state) => {
                    state[places].iter_mut().for_each(|s| *s *= (after / before) as f32);
                }
                State::F64(state) => state[places].iter_mut().for_each(|s| *s *= after / before),
            }
        }
        Ok(())
    }

    /// Silence again.
    pub fn reset(&mut self) {
        match &mut self.state {
            State::F32(state) => state.fill(0.0),
            State::F64(state) => state.fill(0.0),
        }
    }

    /// Sections.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// What the arithmetic is done in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Filters rows, each number first multiplied by `scale`.
    ///
    /// Afterwards the state is checked: a number that is none poisons a filter for ever, so it starts
    /// anew and the error says so.
    ///
    /// # Safety
    ///
    /// The rows must be readable and writable as they say, for the filter's lanes.
    pub unsafe fn run(&mut self, rows: Rows, scale: f64) -> Result<(), RingError> {
        debug_assert!(rows.lanes <= self.lanes);
        let mut rows = rows;
        for (index, steps) in self.steps.chunks(TOGETHER).enumerate() {
            let first = index * TOGETHER * 2 * self.lanes;
            let gain = if index == 0 { scale * self.gain } else { 1.0 };
            let (unit, lanes) = (self.unit, self.lanes);
            match &mut self.state {
                State::F32(state) => {
                    let state = state[first..].as_mut_ptr();
                    self.isa.run(Run {
                        rows,
                        steps,
                        gain,
                        unit,
                        lanes,
                        state: StateAt::F32(state),
                    });
                }
                State::F64(state) => {
                    let state = state[first..].as_mut_ptr();
                    self.isa.run(Run {
                        rows,
                        steps,
                        gain,
                        unit,
                        lanes,
                        state: StateAt::F64(state),
                    });
                }
            }
            rows = Rows { from: rows.to, from_stride: rows.to_stride, counts: false, ..rows };
        }
        self.settle()
    }

    fn settle(&mut self) -> Result<(), RingError> {
        let sane = match &mut self.state {
            State::F32(state) => calm!(state, SILENCE_F32),
            State::F64(state) => calm!(state, SILENCE),
        };
        if sane {
            return Ok(());
        }
        self.reset();
        Err(RingError::Invalid(
            "a filter needs finite numbers; it met others, and began anew".into(),
        ))
    }
}

enum StateAt {
    F32(*mut f32),
    F64(*mut f64),
}

struct Run<'a> {
    rows: Rows,
    steps: &'a [Step],
    gain: f64,
    unit: bool,
    lanes: usize,
    state: StateAt,
}

impl Work for Run<'_> {
    #[inline(always)]
    unsafe fn run<S: Lanes, D: Lanes>(self) {
        match self.state {
            // SAFETY: of `S`, the scalars are floats wherever this is called; the rest is the
            // caller's contract.
            StateAt::F32(state) => unsafe { by_length::<S>(&self, state.cast()) },
            // SAFETY: of `D`, they are doubles.
            StateAt::F64(state) => unsafe { by_length::<D>(&self, state.cast()) },
        }
    }
}

#[inline(always)]
unsafe fn by_length<L: Lanes>(run: &Run<'_>, state: *mut L::Scalar) {
    // SAFETY: the caller's contract.
    unsafe {
        match run.steps.len() {
            1 => by_kind::<L, 1>(run, state),
            2 => by_kind::<L, 2>(run, state),
            3 => by_kind::<L, 3>(run, state),
            4 => by_kind::<L, 4>(run, state),
            _ => by_kind::<L, TOGETHER>(run, state),
        }
    }
}

#[inline(always)]
unsafe fn by_kind<L: Lanes, const S: usize>(run: &Run<'_>, state: *mut L::Scalar) {
    // SAFETY: the caller's contract.
    unsafe {
        if run.unit { filter::<L, S, true>(run, state) } else { filter::<L, S, false>(run, state) }
    }
}

#[inline(always)]
unsafe fn filter<L: Lanes, const S: usize, const UNIT: bool>(run: &Run<'_>, state: *mut L::Scalar) {
    let rows = run.rows;
    // SAFETY: rows and state have room for all lanes, by the contract of `Cascade::run`; `S` is the
    // number of steps.
    unsafe {
        let gain = L::splat(run.gain);
        let b0: [L; S] = std::array::from_fn(|s| L::splat(run.steps[s].b[0]));
        let b1: [L; S] = std::array::from_fn(|s| L::splat(run.steps[s].b[1]));
        let b2: [L; S] = std::array::from_fn(|s| L::splat(run.steps[s].b[2]));
        let a1: [L; S] = std::array::from_fn(|s| L::splat(run.steps[s].a[0]));
        let a2: [L; S] = std::array::from_fn(|s| L::splat(run.steps[s].a[1]));
        for lane in (0..rows.lanes).step_by(L::N) {
            let at = |s: usize, which: usize| state.add((2 * s + which) * run.lanes + lane);
            let mut s1: [L; S] = std::array::from_fn(|s| L::load_state(at(s, 0)));
            let mut s2: [L; S] = std::array::from_fn(|s| L::load_state(at(s, 1)));
            let (mut from, mut to) = (rows.from.add(lane), rows.to.add(lane));
            for _ in 0..rows.rows {
                let x = if rows.counts { L::load_counts(from.cast()) } else { L::load(from) };
                let mut x = x.mul(gain);
                for s in 0..S {
                    let y;
                    if UNIT {
                        y = x.add(s1[s]);
                        s1[s] = a1[s].mul_sub_from(y, b1[s].mul_add(x, s2[s]));
                        s2[s] = a2[s].mul_sub_from(y, x);
                    } else {
                        y = b0[s].mul_add(x, s1[s]);
                        s1[s] = a1[s].mul_sub_from(y, b1[s].mul_add(x, s2[s]));
                        s2[s] = a2[s].mul_sub_from(y, b2[s].mul(x));
                    }
                    x = y;
                }
                x.store(to);
                (from, to) = (from.wrapping_add(rows.from_stride), to.wrapping_add(rows.to_stride));
            }
            for s in 0..S {
                s1[s].store_state(at(s, 0));
                s2[s].store_state(at(s, 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAND: [Section; 2] = [[0.2, 0.4, 0.2, 1.0, -0.5, 0.3], [1.0, -2.0, 1.0, 1.0, -1.6, 0.7]];
    const ODD: [Section; 2] = [[0.2, 0.3, 0.0, 2.0, -0.5, 0.3], [0.0, 1.0, 0.5, 1.0, 0.1, -0.2]];

    fn noise(count: usize) -> Vec<f32> {
        let mut state = 0x2545_f491_u32;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state as f32 / u32::MAX as f32) - 0.5
        };
        (0..count).map(next).collect()
    }

    fn run(cascade: &mut Cascade, samples: &mut [f32], scale: f64) {
        let lanes = 16;
        let rows = Rows {
            from: samples.as_ptr(),
            to: samples.as_mut_ptr(),
            from_stride: lanes,
            to_stride: lanes,
            rows: samples.len() / lanes,
            lanes,
            counts: false,
        };
        // SAFETY: the rows are those of the slice.
        unsafe { cascade.run(rows, scale).unwrap() };
    }

    /// The definition, one channel, in doubles.
    fn by_hand(sections: &[Section], samples: &[f32], channel: usize, scale: f64) -> Vec<f64> {
        let mut signal: Vec<f64> =
            samples.iter().skip(channel).step_by(16).map(|x| f64::from(*x) * scale).collect();
        for [b0, b1, b2, a0, a1, a2] in sections {
            let (mut x1, mut x2, mut y1, mut y2) = (0.0, 0.0, 0.0, 0.0);
            for value in &mut signal {
                let x = *value;
                let y = (b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2) / a0;
                (x2, x1, y2, y1) = (x1, x, y1, y);
                *value = y;
            }
        }
        signal
    }

    fn close(found: &[f32], channel: usize, wanted: &[f64], tolerance: f64) {
        let most = wanted.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        for (found, wanted) in found.iter().skip(channel).step_by(16).zip(wanted) {
            assert!((f64::from(*found) - wanted).abs() <= tolerance * most, "{found} {wanted}");
        }
    }

    #[test]
    fn every_set_of_instructions_filters_as_the_definition_says() {
        let long: Vec<Section> =
            BAND.iter().chain(&BAND).chain(&BAND).chain(&ODD).copied().collect();
        let raw = noise(16 * 200);
        for isa in Isa::all() {
            for sections in [&BAND[..1], &BAND, &ODD, &long] {
                for (precision, tolerance) in [(Precision::F64, 1e-7), (Precision::F32, 1e-4)] {
                    let mut cascade = Cascade::new(sections, 16, precision, isa).unwrap();
                    let mut samples = raw.clone();
                    run(&mut cascade, &mut samples, 3.0);
                    for channel in [0, 7, 15] {
                        close(&samples, channel, &by_hand(sections, &raw, channel, 3.0), tolerance);
                    }
                }
            }
        }
    }

    #[test]
    fn packet_boundaries_do_not_show() {
        let raw = noise(16 * 301);
        for isa in Isa::all() {
            let mut whole = raw.clone();
            run(&mut Cascade::new(&BAND, 16, Precision::F64, isa).unwrap(), &mut whole, 1.0);
            let mut cascade = Cascade::new(&BAND, 16, Precision::F64, isa).unwrap();
            let mut pieces = raw.clone();
            let (mut rest, mut step) = (&mut pieces[..], 1);
            while !rest.is_empty() {
                let (piece, left) = rest.split_at_mut((16 * step).min(rest.len()));
                run(&mut cascade, piece, 1.0);
                (rest, step) = (left, step * 2 % 61);
            }
            assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn other_sections_go_on_from_where_the_old_ones_were() {
        let isa = Isa::best();
        let mut cascade = Cascade::new(&BAND, 16, Precision::F64, isa).unwrap();
        let (mut samples, mut again) = (noise(16 * 50), noise(16 * 50));
        run(&mut cascade, &mut samples, 1.0);
        let mut halved = BAND;
        halved[0][..3].iter_mut().for_each(|b| *b *= 0.5);
        cascade.set_sections(&halved).unwrap();
        cascade.set_sections(&BAND).unwrap();
        run(&mut cascade, &mut again, 1.0);
        let raw: Vec<f32> = noise(16 * 50).into_iter().chain(noise(16 * 50)).collect();
        close(&again, 3, &by_hand(&BAND, &raw, 3, 1.0)[50..], 1e-7);
    }

    #[test]
    fn what_is_not_a_filter_is_refused() {
        let refused =
            |sections: &[Section]| Cascade::new(sections, 1, Precision::F64, Isa::Plain).is_err();
        assert!(refused(&[]));
        assert!(refused(&[[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]));
        assert!(refused(&[[1.0, f64::NAN, 0.0, 1.0, 0.0, 0.0]]));
        assert!(refused(&[[1.0, 0.0, 0.0, 1.0, -2.1, 1.05]]));
    }

    #[test]
    fn a_poisoned_filter_says_so_and_starts_anew() {
        let mut cascade = Cascade::new(&BAND, 16, Precision::F64, Isa::best()).unwrap();
        let mut samples = vec![f32::NAN; 16];
        let place = samples.as_mut_ptr();
        let rows = Rows {
            from: place,
            to: place,
            from_stride: 16,
            to_stride: 16,
            rows: 1,
            lanes: 16,
            counts: false,
        };
        // SAFETY: one row of 16 numbers.
        assert!(unsafe { cascade.run(rows, 1.0) }.is_err());
        let mut samples = noise(16 * 20);
        let raw = samples.clone();
        run(&mut cascade, &mut samples, 1.0);
        close(&samples, 0, &by_hand(&BAND, &raw, 0, 1.0), 1e-7);
    }
}
