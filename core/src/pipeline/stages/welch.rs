//! Power densities by Welch's method, and the power in bands.

use super::gathering::Gathering;
use crate::error::RingError;
use crate::pipeline::Rate;
use crate::pipeline::kernels::{Isa, RealFft, Spectrum};
use crate::pipeline::meter::Gauge;
use crate::pipeline::slab::{BufferSlab, DataType, LANE_STEP};
use crate::pipeline::stage::{Context, Flow, Format, Place, Stage, Target, refuse};
use crate::sync::Arc;

/// Averages the spectra of overlapping segments; packets of any size may come.
///
/// No segment reaches over a gap, and no average does but one of epochs, which are apart by nature. The
/// time of an average is that of its first segment's first sample.
#[derive(Debug)]
pub struct Welch {
    fft: RealFft,
    /// Power of the window.
    weight: f64,
    step: usize,
    averages: usize,
    /// From and to, in hertz; without any, the densities themselves come out.
    bands: Vec<(f64, f64)>,
    lanes: usize,
    rate: Rate,
    /// Samples that wait for a whole segment.
    waiting: Vec<f32>,
    filled: usize,
    segment: Vec<f32>,
    power: Vec<f32>,
    sums: Vec<f64>,
    counted: usize,
    /// An average goes on with the segments of the next epoch.
    of_epochs: bool,
    /// The first of the samples that wait were in a segment before.
    overlaps: bool,
    /// Where the average's first segment begins.
    began: (i64, u64),
    /// Samples that no average has had yet.
    gathering: Gathering,
}

impl Welch {
    /// Segments as long as the window, a power of two, of which the next begins `step` later.
    pub fn new(
        window: &[f64],
        step: usize,
        averages: usize,
        bands: Vec<(f64, f64)>,
        isa: Isa,
    ) -> Result<Self, RingError> {
        if step == 0 || step > window.len() || averages == 0 {
            return Err(RingError::Invalid(format!(
                "segments of {} samples need a step of 1 to as many, and an average of at least 1; \
                 found {step} and {averages}",
                window.len()
            )));
        }
        if !bands.iter().all(|(from, to)| from.is_finite() && 0.0 <= *from && from < to) {
            return Err(RingError::Invalid(format!("bands need ascending edges; found {bands:?}")));
        }
        Ok(Self {
            fft: RealFft::new(window.len(), window, isa)?,
            weight: window.iter().map(|w| w * w).sum(),
            step,
            averages,
            bands,
            lanes: 0,
            rate: Rate::ONE,
            waiting: Vec::new(),
            filled: 0,
            segment: Vec::new(),
            power: Vec::new(),
            sums: Vec::new(),
            counted: 0,
            of_epochs: false,
            overlaps: false,
            began: (0, 0),
            gathering: Gathering::default(),
        })
    }

    fn rows(&self) -> usize {
        if self.bands.is_empty() { self.fft.bins() } else { self.bands.len() }
    }

    /// Averages of whole segments of several epochs.
    pub fn of_epochs(mut self, of_epochs: bool) -> Self {
        self.of_epochs = of_epochs;
        self
    }

    /// An average of nothing yet.
    fn begin(&mut self) {
        self.sums.fill(0.0);
        self.counted = 0;
        self.leave_segment();
    }

    fn leave_segment(&mut self) {
        (self.filled, self.overlaps) = (0, false);
    }

    /// Leaves out what a gap has cut: the average, or of epochs the segment.
    fn cut(&mut self) {
        if !self.of_epochs {
            self.gathering.cut(self.gathering.rows());
            return self.begin();
        }
        let used = if self.overlaps { self.fft.len() - self.step } else { 0 };
        self.gathering.cut((self.filled - used).min(self.gathering.rows()));
        self.leave_segment();
    }

    /// Takes a packet's last rows; true when an average is complete. The rest of them is returned.
    fn take<'a>(&mut self, mut rows: &'a [f32], packet: &BufferSlab) -> (bool, &'a [f32]) {
        let stride = packet.lanes();
        let len = self.fft.len();
        while !rows.is_empty() {
            let lanes = self.lanes;
            self.waiting[self.filled * lanes..][..lanes].copy_from_slice(&rows[..lanes]);
            self.filled += 1;
            rows = &rows[stride..];
            if self.filled == len {
                if self.counted == 0 {
                    let taken = packet.header().samples - rows.len() / stride;
                    self.began = packet.header().place(taken as i64 - len as i64);
                }
                self.add_segment();
                self.overlaps = self.step < len;
                self.waiting.copy_within(self.step * lanes.., 0);
                self.filled -= self.step;
                if self.counted == self.averages {
                    return (true, rows);
                }
            }
        }
        (false, rows)
    }

    fn add_segment(&mut self) {
        let lanes = self.lanes;
        self.segment.copy_from_slice(&self.waiting);
        for lane in 0..lanes {
            let column = || (lane..self.segment.len()).step_by(lanes);
            let sum: f64 = column().map(|at| f64::from(self.segment[at])).sum();
            let mean = (sum / self.fft.len() as f64) as f32;
            for at in column() {
                self.segment[at] -= mean;
            }
        }
        self.fft.run(&self.segment, lanes, &mut self.power, lanes, lanes, Spectrum::Power);
        for (sum, power) in self.sums.iter_mut().zip(&self.power) {
            *sum += f64::from(*power);
        }
        self.counted += 1;
    }

    /// Power in a hertz, for a frequency and a lane.
    fn density(&self, bin: usize, lane: usize) -> f64 {
        let sides = if bin == 0 || bin + 1 == self.fft.bins() { 1.0 } else { 2.0 };
        let scale = sides / (self.rate.hertz() * self.weight * self.counted as f64);
        self.sums[bin * self.lanes + lane] * scale
    }

    fn give(&mut self, target: &mut Target<'_>) {
        let resolution = self.rate.hertz() / self.fft.len() as f64;
        for lane in 0..self.lanes {
            for row in 0..self.rows() {
                let value = match self.bands.get(row) {
                    None => self.density(row, lane),
                    Some((from, to)) => {
                        let inside =
                            |bin: &usize| (*from..*to).contains(&(*bin as f64 * resolution));
                        let bins = (0..self.fft.bins()).filter(inside);
                        bins.map(|bin| self.density(bin, lane)).sum::<f64>() * resolution
                    }
                };
                target.rows[row * target.stride + lane] = value as f32;
            }
        }
        self.sums.fill(0.0);
        self.counted = 0;
    }
}

impl Stage for Welch {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        if !matches!(input.kind, DataType::Voltage | DataType::Filtered) {
            return Err(refuse("a power density needs volts", input));
        }
        if input.samples > self.step * self.averages {
            return Err(refuse("an average must be longer than a packet", input));
        }
        if let Some(band) = self.bands.iter().find(|band| band.1 > input.rate.hertz() / 2.0) {
            return Err(refuse(&format!("half the rate must reach band {band:?}"), input));
        }
        self.lanes = input.channels.next_multiple_of(LANE_STEP);
        self.rate = input.rate;
        self.waiting = vec![0.0; self.fft.len() * self.lanes];
        self.segment = self.waiting.clone();
        self.power = vec![0.0; self.fft.bins() * self.lanes];
        self.sums = vec![0.0; self.fft.bins() * self.lanes];
        self.begin();
        Ok(Format { kind: DataType::Fft, samples: self.rows(), ..input })
    }

    fn place(&self) -> Place {
        Place::Other
    }

    fn fixed_rows(&self) -> Option<usize> {
        Some(self.rows())
    }

    fn make(
        &mut self,
        packet: &BufferSlab,
        target: &mut Target<'_>,
        _: &mut Context,
    ) -> Result<Flow, RingError> {
        target.check(self.rows())?;
        if !self.gathering.goes_on(packet.header()) {
            self.cut();
        }
        let (complete, rest) = self.take(packet.samples(), packet);
        if !complete {
            self.gathering.wait(self.gathering.rows() + packet.header().samples);
            return Ok(Flow::Nothing);
        }
        self.give(target);
        (target.header.origin_nanos, target.header.first_sample) = self.began;
        // No second average can be complete: a packet is no longer than one.
        self.take(rest, packet);
        self.gathering.wait(rest.len() / packet.lanes());
        (target.header.kind, target.header.samples) = (DataType::Fft, self.rows());
        Ok(Flow::Next)
    }

    fn gauges(&self) -> Vec<Arc<Gauge>> {
        self.gathering.gauges()
    }

    fn reset(&mut self) {
        self.gathering.reset();
        self.begin();
    }
}
