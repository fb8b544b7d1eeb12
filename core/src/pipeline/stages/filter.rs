//! A cascade of second-order sections, its state carried from packet to packet.
#![allow(unsafe_code, reason = "the kernel writes where it reads")]

use super::history::follows;
use crate::error::RingError;
use crate::pipeline::kernels::sos::Rows;
use crate::pipeline::kernels::{Cascade, Isa, Precision, Section};
use crate::pipeline::meter::Gauge;
use crate::pipeline::slab::{BufferSlab, DataType, Header, LANE_STEP};
use crate::pipeline::stage::{
    Context, Flow, Format, Place, Stage, Target, Value, refuse, refuse_value,
};
use crate::sync::Arc;

/// Filters all channels. Over a gap it goes on with the state that it has, and counts it.
#[derive(Debug)]
pub struct Filter {
    sections: Vec<Section>,
    precision: Precision,
    isa: Isa,
    cascade: Option<Cascade>,
    /// Of counts that become volts on the way.
    scale: Option<f64>,
    last: Option<Header>,
    gaps: Arc<Gauge>,
}

/// Six numbers a section, as scipy lays them out.
pub fn sections_of(name: &str, value: &Value) -> Result<Vec<Section>, RingError> {
    match value {
        Value::Numbers(numbers) if !numbers.is_empty() && numbers.len().is_multiple_of(6) => {
            Ok(numbers.chunks_exact(6).map(|c| std::array::from_fn(|i| c[i])).collect())
        }
        other => Err(refuse_value(name, "six numbers for each section", other)),
    }
}

impl Filter {
    /// A filter of sections.
    pub fn new(sections: Vec<Section>, precision: Precision, isa: Isa) -> Result<Self, RingError> {
        Cascade::new(&sections, 1, precision, isa)?;
        let (cascade, scale, last, gaps) = (None, None, None, Gauge::new("gaps"));
        Ok(Self { sections, precision, isa, cascade, scale, last, gaps })
    }

    fn look_for_a_gap(&mut self, packet: &Header) {
        if self.last.is_some_and(|last| !follows(&last, packet)) {
            self.gaps.add(1.0);
        }
        self.last = Some(*packet);
    }

    fn run(&mut self, rows: Rows) -> Result<(), RingError> {
        let cascade = self.cascade.as_mut();
        let cascade = cascade.ok_or_else(|| RingError::Invalid("the filter has no plan".into()))?;
        let scale = if rows.counts { self.scale.unwrap_or(1.0) } else { 1.0 };
        // SAFETY: both callers take the rows from slabs and targets that hold them, for lanes that
        // the plan has counted.
        unsafe { cascade.run(rows, scale) }
    }
}

fn lanes_of(packet: &BufferSlab) -> usize {
    packet.header().channels.next_multiple_of(LANE_STEP)
}

impl Stage for Filter {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        let suits = match input.kind {
            DataType::Raw => self.scale.is_some(),
            DataType::Voltage | DataType::Filtered => true,
            DataType::Fft => false,
        };
        if !suits {
            return Err(refuse("a filter needs volts", input));
        }
        let made = Cascade::new(&self.sections, input.channels, self.precision, self.isa)?;
        self.cascade = Some(made);
        Ok(Format { kind: DataType::Filtered, ..input })
    }

    fn place(&self) -> Place {
        Place::Any
    }

    fn change(&mut self, packet: &mut BufferSlab, _: &mut Context) -> Result<Flow, RingError> {
        self.look_for_a_gap(packet.header());
        let (stride, lanes) = (packet.lanes(), lanes_of(packet));
        let counts = packet.header().kind == DataType::Raw;
        let (rows, to) = (packet.header().samples, packet.samples_mut().as_mut_ptr());
        let from = to.cast_const();
        self.run(Rows { from, to, from_stride: stride, to_stride: stride, rows, lanes, counts })?;
        packet.with_type(DataType::Filtered);
        Ok(Flow::Next)
    }

    fn make(
        &mut self,
        packet: &BufferSlab,
        target: &mut Target<'_>,
        _: &mut Context,
    ) -> Result<Flow, RingError> {
        let rows = packet.header().samples;
        target.check(rows)?;
        self.look_for_a_gap(packet.header());
        let counts = packet.header().kind == DataType::Raw;
        let (from, to) = (packet.samples().as_ptr(), target.rows.as_mut_ptr());
        let (from_stride, to_stride) = (packet.lanes(), target.stride);
        let lanes = lanes_of(packet);
        self.run(Rows { from, to, from_stride, to_stride, rows, lanes, counts })?;
        target.header.kind = DataType::Filtered;
        Ok(Flow::Next)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), RingError> {
        if name != "sos" {
            return Err(RingError::Invalid(format!(
                "a filter has no parameter {name:?}; \"sos\" is"
            )));
        }
        let sections = sections_of(name, value)?;
        if let Some(cascade) = &mut self.cascade {
            cascade.set_sections(&sections)?;
        }
        self.sections = sections;
        Ok(())
    }

    fn gauges(&self) -> Vec<Arc<Gauge>> {
        vec![Arc::clone(&self.gaps)]
    }

    fn reset(&mut self) {
        self.last = None;
        self.cascade.iter_mut().for_each(Cascade::reset);
    }

    fn absorb(&mut self, scale: f64) -> bool {
        self.scale = Some(scale);
        true
    }
}
