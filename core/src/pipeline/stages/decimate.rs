//! One of so many samples.

use crate::error::RingError;
use crate::pipeline::slab::{BufferSlab, DataType, Header};
use crate::pipeline::stage::{Context, Flow, Format, Stage, refuse};

/// Keeps the samples whose place in their stretch is a multiple of the factor.
///
/// A low-pass before it is a stage of its own.
#[derive(Debug)]
pub struct Decimate {
    factor: usize,
}

impl Decimate {
    /// Keeps one of so many.
    pub fn new(factor: usize) -> Result<Self, RingError> {
        if factor == 0 {
            return Err(RingError::Invalid("a factor of at least 1 is needed; found 0".into()));
        }
        Ok(Self { factor })
    }
}

impl Stage for Decimate {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        if !matches!(input.kind, DataType::Voltage | DataType::Filtered) {
            return Err(refuse("only volts are decimated", input));
        }
        let samples = input.samples.div_ceil(self.factor);
        Ok(Format { samples, rate: input.rate.divided(self.factor as u64), ..input })
    }

    fn change(&mut self, packet: &mut BufferSlab, _: &mut Context) -> Result<Flow, RingError> {
        let (header, stride) = (*packet.header(), packet.lanes());
        let factor = self.factor as u64;
        let first = header.first_sample.next_multiple_of(factor);
        let skipped = (first - header.first_sample) as usize;
        let kept = header.samples.saturating_sub(skipped).div_ceil(self.factor);
        let rows = packet.samples_mut();
        for row in 0..kept {
            let from = (skipped + row * self.factor) * stride;
            rows.copy_within(from..from + stride, row * stride);
        }
        packet.set_header(Header {
            samples: kept,
            first_sample: first / factor,
            rate: header.rate.divided(factor),
            ..header
        })?;
        Ok(if kept == 0 { Flow::Nothing } else { Flow::Next })
    }
}
