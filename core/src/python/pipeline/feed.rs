//! Blocks and markers that Python hands in.

use std::time::Instant;

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;

use crate::pipeline::feed::{Feed, FeedEnd};
use crate::pipeline::stage::{Format, Trigger};
use crate::pipeline::{DataType, Header, PipelineData};
use crate::python::errors::{ClosedError, InvalidError};
use crate::region::clock_nanos;

fn late() -> PyErr {
    PyTimeoutError::new_err("the pipeline took no packet in time")
}

/// What a feed that takes nothing more says to Python.
pub fn ended(end: FeedEnd) -> PyErr {
    ClosedError::new_err(end.text())
}

/// Hands on what was taken before; nothing new is taken where that stays in the way.
fn settle(feed: &mut Feed, deadline: Instant) -> PyResult<()> {
    if feed.settle(deadline).map_err(ended)? { Ok(()) } else { Err(late()) }
}

/// A marker, which follows the blocks that were handed in before; whether all have it.
pub fn mark(feed: &mut Feed, trigger: Trigger, deadline: Instant) -> PyResult<bool> {
    settle(feed, deadline)?;
    feed.send(PipelineData::Trigger(trigger), deadline).map_err(ended)
}

/// A block; whether all have it.
pub fn hand_in(
    feed: &mut Feed,
    bytes: &[u8],
    (shape, format): &(Vec<usize>, String),
    (origin_nanos, first_sample, frame_id): (i64, u64, u64),
    deadline: Instant,
) -> PyResult<bool> {
    let Format { kind, channels, rate, .. } = feed.format;
    let wanted = if kind == DataType::Raw { "i" } else { "f" };
    if shape.len() != 2 || shape[1] != channels || format != wanted {
        return Err(InvalidError::new_err(format!(
            "a block is [samples, {channels}] of type {wanted:?}; found {shape:?} of {format:?}"
        )));
    }
    settle(feed, deadline)?;
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
    feed.send(PipelineData::Packet(packet), deadline).map_err(ended)
}
