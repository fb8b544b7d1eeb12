//! Counts of a converter as volts.
#![allow(unsafe_code, reason = "vectors over memory whose size was checked")]

use crate::error::RingError;
use crate::pipeline::kernels::{Isa, Lanes, Work};
use crate::pipeline::slab::{BufferSlab, DataType};
use crate::pipeline::stage::{Context, Flow, Format, Stage, Value, refuse, refuse_value};

/// Multiplies counts by volts per count.
#[derive(Debug)]
pub struct ToVoltage {
    scale: f64,
    isa: Isa,
}

impl ToVoltage {
    /// So many volts a count, for an ADS1299 (vref / gain) / 2^23.
    pub fn new(scale: f64, isa: Isa) -> Result<Self, RingError> {
        if !scale.is_finite() || scale == 0.0 {
            return Err(refuse_value("scale", "volts a count, not 0", &Value::Number(scale)));
        }
        Ok(Self { scale, isa })
    }
}

struct Convert<'a> {
    numbers: &'a mut [f32],
    scale: f64,
}

impl Work for Convert<'_> {
    #[inline(always)]
    unsafe fn run<S: Lanes, D: Lanes>(self) {
        let start = self.numbers.as_mut_ptr();
        for at in (0..self.numbers.len() - self.numbers.len() % S::N).step_by(S::N) {
            // SAFETY: a slab's numbers are whole lines of 16, and no vector is longer.
            unsafe {
                let at = start.add(at);
                S::load_counts(at.cast_const().cast()).mul(S::splat(self.scale)).store(at);
            }
        }
    }
}

impl Stage for ToVoltage {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        if input.kind != DataType::Raw {
            return Err(refuse("volts are made of raw counts", input));
        }
        Ok(Format { kind: DataType::Voltage, ..input })
    }

    fn change(&mut self, packet: &mut BufferSlab, _: &mut Context) -> Result<Flow, RingError> {
        self.isa.run(Convert { numbers: packet.samples_mut(), scale: self.scale });
        packet.with_type(DataType::Voltage);
        Ok(Flow::Next)
    }

    fn scale(&self) -> Option<f64> {
        Some(self.scale)
    }
}
