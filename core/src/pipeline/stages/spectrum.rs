//! The spectrum of each packet.

use crate::error::RingError;
use crate::pipeline::kernels::{Isa, RealFft, Spectrum};
use crate::pipeline::meter::Gauge;
use crate::pipeline::slab::{BufferSlab, DataType, LANE_STEP};
use crate::pipeline::stage::{Context, Flow, Format, Place, Stage, Target, refuse};
use crate::sync::Arc;

/// Transforms whole packets, and leaves out those that a gap or an end cut short.
#[derive(Debug)]
pub struct Fft {
    fft: RealFft,
    keep: Spectrum,
    short: Arc<Gauge>,
}

impl Fft {
    /// A transform of `len` numbers, of which the window takes the first; the rest are zeros.
    pub fn new(len: usize, window: &[f64], keep: Spectrum, isa: Isa) -> Result<Self, RingError> {
        let fft = RealFft::new(len, window, isa)?;
        Ok(Self { fft, keep, short: Gauge::new("short_packets") })
    }

    fn rows(&self) -> usize {
        self.keep.rows(self.fft.bins())
    }
}

impl Stage for Fft {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        let suits = matches!(input.kind, DataType::Voltage | DataType::Filtered);
        if !suits || input.samples != self.fft.window_len() {
            let wanted = format!("this transform needs volts, {} samples", self.fft.window_len());
            return Err(refuse(&wanted, input));
        }
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
        let (wanted, found) = (self.fft.window_len(), packet.header().samples);
        if found < wanted {
            self.short.add(1.0);
            return Ok(Flow::Nothing);
        }
        if found > wanted {
            return Err(RingError::Invalid(format!(
                "this transform needs packets of {wanted} samples; found {found}"
            )));
        }
        target.check(self.rows())?;
        let lanes = packet.header().channels.next_multiple_of(LANE_STEP);
        let (from, stride) = (packet.samples(), packet.lanes());
        self.fft.run(from, stride, target.rows, target.stride, lanes, self.keep);
        (target.header.kind, target.header.samples) = (DataType::Fft, self.rows());
        Ok(Flow::Next)
    }

    fn gauges(&self) -> Vec<Arc<Gauge>> {
        vec![Arc::clone(&self.short)]
    }
}
