//! Blocks and markers that Python hands in.

use std::time::Instant;

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;

use crate::pipeline::plan::Feed;
use crate::pipeline::stage::{Format, Trigger};
use crate::pipeline::{DataType, Header, Output, PipelineData, SendError};
use crate::python::errors::{ClosedError, InvalidError};
use crate::region::clock_nanos;

fn late() -> PyErr {
    PyTimeoutError::new_err("the pipeline took no packet in time")
}

fn send(feed: &mut Feed, data: PipelineData, deadline: Instant) -> PyResult<()> {
    let output = feed.output.as_mut();
    let output = output.ok_or_else(|| ClosedError::new_err("this feed was closed"))?;
    output.send(data, deadline).map_err(|error| match error {
        SendError::Full(_) => late(),
        SendError::Closed(_) => ClosedError::new_err("what this feed leads to has ended"),
    })
}

/// A marker, which follows the blocks that were handed in before.
pub fn mark(feed: &mut Feed, trigger: Trigger, deadline: Instant) -> PyResult<()> {
    send(feed, PipelineData::Trigger(trigger), deadline)
}

/// A block.
pub fn hand_in(
    feed: &mut Feed,
    bytes: &[u8],
    (shape, format): &(Vec<usize>, String),
    (origin_nanos, first_sample, frame_id): (i64, u64, u64),
    deadline: Instant,
) -> PyResult<()> {
    let Format { kind, channels, rate, .. } = feed.format;
    let wanted = if kind == DataType::Raw { "i" } else { "f" };
    if shape.len() != 2 || shape[1] != channels || format != wanted {
        return Err(InvalidError::new_err(format!(
            "a block is [samples, {channels}] of type {wanted:?}; found {shape:?} of {format:?}"
        )));
    }
    if feed.output.is_none() {
        return Err(ClosedError::new_err("this feed was closed"));
    }
    let mut packet = feed.packet(deadline).ok_or_else(late)?;
    let samples = shape[0];
    let entered_nanos = clock_nanos();
    packet.set_header(Header {
        kind,
        channels,
        samples,
        origin_nanos,
        first_sample,
        rate,
        frame_id,
        entered_nanos,
    })?;
    packet.fill_rows(bytes)?;
    send(feed, PipelineData::Packet(packet), deadline)
}
