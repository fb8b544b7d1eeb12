//! The spectrum of each stretch of so many samples.

use super::gathering::Gathering;
use crate::error::RingError;
use crate::pipeline::kernels::{Isa, RealFft, Spectrum};
use crate::pipeline::meter::Gauge;
use crate::pipeline::slab::{BufferSlab, DataType, LANE_STEP};
use crate::pipeline::stage::{Context, Flow, Format, Place, Stage, Target, refuse};
use crate::sync::Arc;

/// Transforms as many samples as its window has, one window behind the other, whatever the packets;
/// a gap begins anew. A packet of just that length is transformed where it lies.
#[derive(Debug)]
pub struct Fft {
    fft: RealFft,
    keep: Spectrum,
    lanes: usize,
    /// Rows that wait for a whole window.
    waiting: Vec<f32>,
    gathering: Gathering,
}

impl Fft {
    /// A transform of `len` numbers, of which the window takes the first; the rest are zeros.
    pub fn new(len: usize, window: &[f64], keep: Spectrum, isa: Isa) -> Result<Self, RingError> {
        let fft = RealFft::new(len, window, isa)?;
        Ok(Self { fft, keep, lanes: 0, waiting: Vec::new(), gathering: Gathering::default() })
    }

    fn rows(&self) -> usize {
        self.keep.rows(self.fft.bins())
    }

    /// Puts rows behind those that wait.
    fn gather(&mut self, rows: &[f32], stride: usize) {
        let (lanes, filled) = (self.lanes, self.gathering.rows());
        let to = self.waiting[filled * lanes..].chunks_exact_mut(lanes);
        for (to, from) in to.zip(rows.chunks_exact(stride)) {
            to.copy_from_slice(&from[..lanes]);
        }
        self.gathering.wait(filled + rows.len() / stride);
    }
}

impl Stage for Fft {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        let suits = matches!(input.kind, DataType::Voltage | DataType::Filtered);
        if !suits || input.samples != self.fft.window_len() {
            let wanted = format!("this transform needs volts, {} samples", self.fft.window_len());
            return Err(refuse(&wanted, input));
        }
        self.lanes = input.channels.next_multiple_of(LANE_STEP);
        self.waiting = vec![0.0; input.samples * self.lanes];
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
        let (header, window) = (*packet.header(), self.fft.window_len());
        if header.samples > window {
            return Err(RingError::Invalid(format!(
                "this transform needs packets of at most {window} samples; found {}",
                header.samples
            )));
        }
        target.check(self.rows())?;
        if !self.gathering.goes_on(&header) {
            self.gathering.cut(self.gathering.rows());
        }
        let (rows, stride) = (packet.samples(), packet.lanes());
        let taken = header.samples.min(window - self.gathering.rows());
        let (first, rest) = rows.split_at(taken * stride);
        if taken < window {
            self.gather(first, stride);
            if self.gathering.rows() < window {
                return Ok(Flow::Nothing);
            }
        }
        let (from, from_stride) =
            if taken < window { (&self.waiting[..], self.lanes) } else { (first, stride) };
        self.fft.run(from, from_stride, target.rows, target.stride, self.lanes, self.keep);
        self.gathering.wait(0);
        self.gather(rest, stride);
        let begin = taken as i64 - window as i64;
        (target.header.origin_nanos, target.header.first_sample) = header.place(begin);
        (target.header.kind, target.header.samples) = (DataType::Fft, self.rows());
        Ok(Flow::Next)
    }

    fn gauges(&self) -> Vec<Arc<Gauge>> {
        self.gathering.gauges()
    }

    fn reset(&mut self) {
        self.gathering.reset();
    }
}
