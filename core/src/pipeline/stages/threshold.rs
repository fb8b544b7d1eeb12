//! Triggers where a channel crosses a level.

use crate::error::RingError;
use crate::pipeline::slab::{BufferSlab, DataType};
use crate::pipeline::stage::{Context, Flow, Format, Stage, Trigger, Value, refuse, refuse_value};

/// Reports each crossing of a level; packets go on as they are.
///
/// A channel must come back by the hysteresis before it crosses again, and rests for a number of
/// samples after each trigger; what crosses meanwhile makes none, and must come back too.
#[derive(Debug)]
pub struct Threshold {
    channel: usize,
    level: f32,
    hysteresis: f32,
    rising: bool,
    rest: u64,
    armed: bool,
    resting: u64,
}

impl Threshold {
    /// Crossings of a level by a channel.
    pub fn new(
        channel: usize,
        level: f64,
        hysteresis: f64,
        rising: bool,
        rest: u64,
    ) -> Result<Self, RingError> {
        if !level.is_finite() || !hysteresis.is_finite() || hysteresis < 0.0 {
            return Err(RingError::Invalid(format!(
                "a threshold needs a finite level and a hysteresis of at least 0; found {level} and \
                 {hysteresis}"
            )));
        }
        let (level, hysteresis) = (level as f32, hysteresis as f32);
        Ok(Self { channel, level, hysteresis, rising, rest, armed: false, resting: 0 })
    }

    /// Whether this sample fires.
    fn fires(&mut self, value: f32) -> bool {
        self.resting = self.resting.saturating_sub(1);
        let above = if self.rising { value - self.level } else { self.level - value };
        if above < -self.hysteresis || (self.hysteresis == 0.0 && above < 0.0) {
            self.armed = true;
        }
        // Of a number that is none, neither is true: it neither arms nor crosses.
        if !(self.armed && above >= 0.0) {
            return false;
        }
        // A crossing during the rest is over with it.
        self.armed = false;
        if self.resting > 0 {
            return false;
        }
        self.resting = self.rest;
        true
    }
}

impl Stage for Threshold {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        let suits = matches!(input.kind, DataType::Voltage | DataType::Filtered);
        if !suits || self.channel >= input.channels {
            return Err(refuse(
                &format!("a threshold needs volts of channel {}", self.channel),
                input,
            ));
        }
        Ok(input)
    }

    fn change(
        &mut self,
        packet: &mut BufferSlab,
        context: &mut Context,
    ) -> Result<Flow, RingError> {
        let (header, lanes) = (*packet.header(), packet.lanes());
        for (sample, row) in packet.samples().chunks_exact(lanes).enumerate() {
            let value = row[self.channel];
            if self.fires(value) {
                context.trigger(Trigger {
                    time_nanos: header.sample_timestamp(sample),
                    frame_id: header.frame_id,
                    sample: sample as u32,
                    channel: self.channel as u32,
                    value,
                    rising: self.rising,
                });
            }
        }
        Ok(Flow::Next)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), RingError> {
        match (name, value) {
            ("level", Value::Number(level)) if level.is_finite() => self.level = *level as f32,
            ("hysteresis", Value::Number(room)) if room.is_finite() && *room >= 0.0 => {
                self.hysteresis = *room as f32;
            }
            _ => return Err(refuse_value(name, "a finite \"level\" or \"hysteresis\"", value)),
        }
        Ok(())
    }

    fn reset(&mut self) {
        (self.armed, self.resting) = (false, 0);
    }
}
