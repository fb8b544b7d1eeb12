//! One of so many samples.

use super::history::follows;
use crate::error::RingError;
use crate::pipeline::slab::{BufferSlab, DataType, Header};
use crate::pipeline::stage::{Context, Flow, Format, Stage, refuse};

/// Keeps one of so many samples, whatever the packets; the first is one whose place in its stretch is a
/// multiple of the factor.
///
/// A low-pass before it is a stage of its own.
#[derive(Debug)]
pub struct Decimate {
    factor: usize,
    /// The last packet, and how many samples after it the next one is kept.
    last: Option<(Header, usize)>,
}

impl Decimate {
    /// Keeps one of so many.
    pub fn new(factor: usize) -> Result<Self, RingError> {
        if factor == 0 {
            return Err(RingError::Invalid("a factor of at least 1 is needed; found 0".into()));
        }
        Ok(Self { factor, last: None })
    }

    /// How many samples of a packet come before the first one that is kept.
    fn skipped(&self, header: &Header) -> usize {
        match self.last {
            Some((last, skipped)) if follows(&last, header) => skipped,
            _ => {
                let factor = self.factor as u64;
                (header.first_sample.next_multiple_of(factor) - header.first_sample) as usize
            }
        }
    }

    /// The header of the samples that are kept, whose stretch may count from elsewhere.
    fn kept_header(&self, header: &Header, skipped: usize, kept: usize) -> Header {
        let factor = self.factor as u64;
        let first = header.first_sample + skipped as u64;
        let (origin_nanos, first_sample) = if first.is_multiple_of(factor) {
            (header.origin_nanos, first / factor)
        } else {
            (header.sample_timestamp(skipped), 0)
        };
        let rate = header.rate.divided(factor);
        Header { samples: kept, origin_nanos, first_sample, rate, ..*header }
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
        let skipped = self.skipped(&header);
        let kept = header.samples.saturating_sub(skipped).div_ceil(self.factor);
        self.last = Some((header, skipped + kept * self.factor - header.samples));
        let rows = packet.samples_mut();
        for row in 0..kept {
            let from = (skipped + row * self.factor) * stride;
            rows.copy_within(from..from + stride, row * stride);
        }
        packet.set_header(self.kept_header(&header, skipped, kept))?;
        Ok(if kept == 0 { Flow::Nothing } else { Flow::Next })
    }

    fn reset(&mut self) {
        self.last = None;
    }
}
