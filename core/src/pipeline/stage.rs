//! What a stage is: something that takes packets of one form and makes packets of another.

use super::Rate;
use super::chain::Held;
use super::meter::Gauge;
use super::slab::{BufferSlab, DataType, Header};
use crate::error::RingError;
use crate::sync::Arc;

/// Triggers that may wait until a packet is through; more are counted.
const MOST_TRIGGERS: usize = 256;

/// The form of packets, known before the first one comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// What the numbers are.
    pub kind: DataType,
    /// Channels.
    pub channels: usize,
    /// Rows, at most.
    pub samples: usize,
    /// Samples in seconds.
    pub rate: Rate,
}

/// Whether a stage has made something of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It goes on to the next stage.
    Next,
    /// There is nothing yet.
    Nothing,
}

/// Where a stage may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Only over its input.
    Same,
    /// Only elsewhere.
    Other,
    /// Either.
    Any,
    /// Nowhere; it is lent the packet to read.
    Lent,
    /// It is lent the packet to write.
    LentToWrite,
}

/// A crossing of a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trigger {
    /// When, ns since the epoch.
    pub time_nanos: i64,
    /// The packet's frame id.
    pub frame_id: u64,
    /// The sample within the packet.
    pub sample: u32,
    /// The channel.
    pub channel: u32,
    /// The value there.
    pub value: f32,
    /// From below.
    pub rising: bool,
}

impl Trigger {
    /// A marker at a moment, which belongs to no packet.
    pub fn at(time_nanos: i64) -> Self {
        Self { time_nanos, frame_id: 0, sample: 0, channel: 0, value: 0.0, rising: true }
    }
}

/// What a stage is given beside its packet.
#[derive(Debug)]
pub struct Context {
    triggers: Vec<Trigger>,
    counted: usize,
    lost: u64,
    second: bool,
}

impl Default for Context {
    fn default() -> Self {
        Self { triggers: Vec::with_capacity(MOST_TRIGGERS), counted: 0, lost: 0, second: false }
    }
}

impl Context {
    /// Reports a trigger.
    pub fn trigger(&mut self, trigger: Trigger) {
        if self.triggers.len() < MOST_TRIGGERS {
            self.triggers.push(trigger);
        } else {
            self.lost += 1;
        }
    }

    /// The triggers since the last call.
    pub fn take(&mut self) -> std::vec::Drain<'_, Trigger> {
        self.counted = 0;
        self.triggers.drain(..)
    }

    /// Whether the packet came to a stage's second input.
    pub fn is_second(&self) -> bool {
        self.second
    }

    pub(super) fn set_second(&mut self, second: bool) {
        self.second = second;
    }

    /// The triggers since the last call, and how many did not fit.
    pub fn fresh(&mut self) -> (&[Trigger], u64) {
        let counted = std::mem::replace(&mut self.counted, self.triggers.len());
        (&self.triggers[counted..], std::mem::take(&mut self.lost))
    }
}

/// Where results go: another packet, or room in a ring.
#[derive(Debug)]
pub struct Target<'a> {
    /// What the results are; begins as the input's.
    pub header: Header,
    /// Rows, one behind the other.
    pub rows: &'a mut [f32],
    /// Numbers from a row to the next, a multiple of 16.
    pub stride: usize,
}

impl Target<'_> {
    /// Whether so many rows fit.
    pub fn check(&self, rows: usize) -> Result<(), RingError> {
        let room = self.rows.len() / self.stride;
        if rows <= room {
            return Ok(());
        }
        Err(RingError::Invalid(format!("the next pool's packets hold {room} rows; {rows} come")))
    }
}

/// A value for a stage's parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// Numbers.
    Numbers(Vec<f64>),
    /// A word.
    Text(String),
}

/// One step of a pipeline. It allocates nothing once it is planned.
pub trait Stage: Send {
    /// What comes out for what goes in; refuses what it cannot take. Called before the first packet.
    fn plan(&mut self, input: Format) -> Result<Format, RingError>;

    /// Where it may write.
    fn place(&self) -> Place {
        Place::Same
    }

    /// The rows of its results, where those of its packets do not say it.
    fn fixed_rows(&self) -> Option<usize> {
        None
    }

    /// Works on a packet where it lies.
    fn change(
        &mut self,
        packet: &mut BufferSlab,
        context: &mut Context,
    ) -> Result<Flow, RingError> {
        let _ = (packet, context);
        Err(RingError::Invalid("this stage needs another packet for its results".into()))
    }

    /// Works on a packet, and writes the results elsewhere.
    fn make(
        &mut self,
        packet: &BufferSlab,
        target: &mut Target<'_>,
        context: &mut Context,
    ) -> Result<Flow, RingError> {
        let _ = (packet, target, context);
        Err(RingError::Invalid("this stage works where its packet lies".into()))
    }

    /// Works on a packet that it is lent; keeps it, or what others may still write, at its own cost.
    fn lend(
        &mut self,
        held: Held,
        context: &mut Context,
    ) -> (Option<Held>, Result<Flow, RingError>) {
        let _ = context;
        (Some(held), Err(RingError::Invalid("this stage is lent no packets".into())))
    }

    /// Refuses or takes the form of a second input's packets. Called before `plan`, if there is one.
    fn plan_second(&mut self, input: Format) -> Result<(), RingError> {
        Err(refuse("this stage has one input, not two", input))
    }

    /// Whether it knows how many rows it will make before it makes them.
    fn says_rows(&self) -> bool {
        true
    }

    /// Whether results are left for which no packet has to come.
    fn has_more(&mut self) -> bool {
        false
    }

    /// Writes the next result for which no packet has to come.
    fn more(&mut self, target: &mut Target<'_>, context: &mut Context) -> Result<Flow, RingError> {
        let _ = (target, context);
        Ok(Flow::Nothing)
    }

    /// Hears of a trigger of a stage before it, or a marker from outside.
    fn trigger(&mut self, trigger: &Trigger) {
        let _ = trigger;
    }

    /// Figures of its own, which it keeps up to date.
    fn gauges(&self) -> Vec<Arc<Gauge>> {
        Vec::new()
    }

    /// Changes a parameter while it runs.
    fn set(&mut self, name: &str, value: &Value) -> Result<(), RingError> {
        let _ = value;
        Err(RingError::Invalid(format!("this stage has no parameter {name:?} that can change")))
    }

    /// Forgets everything it has seen.
    fn reset(&mut self) {}

    /// The counts-to-volts factor, if that is all it does; the next stage may take it over.
    fn scale(&self) -> Option<f64> {
        None
    }

    /// Takes over the factor of the stage before it, which then goes; false if it cannot.
    fn absorb(&mut self, scale: f64) -> bool {
        let _ = scale;
        false
    }
}

/// Refuses a packet's form.
pub fn refuse(wanted: &str, found: Format) -> RingError {
    let Format { kind, channels, samples, rate } = found;
    RingError::Invalid(format!(
        "{wanted}; found {} packets of {channels} channels, {samples} samples at {} Hz",
        kind.name(),
        rate.hertz()
    ))
}

/// Refuses a parameter.
pub fn refuse_value(name: &str, wanted: &str, found: &Value) -> RingError {
    RingError::Invalid(format!("{name:?} needs {wanted}; found {found:?}"))
}
