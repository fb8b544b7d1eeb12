//! How strong an oscillation is: its absolute value, smoothed.

use super::filter::Filter;
use crate::error::RingError;
use crate::pipeline::kernels::{Isa, Precision, Section};
use crate::pipeline::meter::Gauge;
use crate::pipeline::slab::BufferSlab;
use crate::pipeline::stage::{Context, Flow, Format, Stage, Value, refuse};
use crate::sync::Arc;

/// Rectifies all channels and smooths them with a low-pass.
#[derive(Debug)]
pub struct Envelope {
    smoother: Filter,
}

impl Envelope {
    /// An envelope smoothed by sections.
    pub fn new(sections: Vec<Section>, precision: Precision, isa: Isa) -> Result<Self, RingError> {
        Ok(Self { smoother: Filter::new(sections, precision, isa)? })
    }
}

impl Stage for Envelope {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        self.smoother.plan(input).map_err(|_| refuse("an envelope needs volts", input))
    }

    fn change(
        &mut self,
        packet: &mut BufferSlab,
        context: &mut Context,
    ) -> Result<Flow, RingError> {
        packet.samples_mut().iter_mut().for_each(|value| *value = value.abs());
        self.smoother.change(packet, context)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), RingError> {
        self.smoother.set(name, value)
    }

    fn gauges(&self) -> Vec<Arc<Gauge>> {
        self.smoother.gauges()
    }

    fn reset(&mut self) {
        self.smoother.reset();
    }
}
