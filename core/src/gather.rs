//! Reading many records at once: their columns, each joined into one piece.
//!
//! Each record is copied and verified before anything in it is believed, so what is joined is whole.

use crate::arrow::{Batch, ColumnBuffers, ColumnKind, Schema};
use crate::error::RingError;
use crate::format::Format;
use crate::frame::Frame;
use crate::ring::RingReader;

/// One column of several records.
#[derive(Debug, Default)]
pub struct Joined {
    /// The values, one behind the other.
    pub values: Vec<u8>,
    /// One byte a row, 1 where the value is missing; empty if all are there.
    pub missing: Vec<u8>,
}

/// Several records that follow each other.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Their frames.
    pub frames: Vec<Frame>,
    /// The columns that were asked for.
    pub columns: Vec<Joined>,
    rows: usize,
}

impl Gathered {
    /// Takes room for so many records like the first, so that growing copies nothing.
    fn reserve(&mut self, records: usize, batch: &Batch, wanted: &[usize]) {
        for (joined, index) in self.columns.iter_mut().zip(wanted) {
            joined.values.reserve(batch.columns[*index].data.len * records);
        }
    }

    fn add(&mut self, frame: Frame, batch: &Batch, wanted: &[usize], payload: &[u8]) {
        let rows = usize::try_from(batch.rows).unwrap_or_default();
        for (joined, index) in self.columns.iter_mut().zip(wanted) {
            joined.add(&batch.columns[*index], self.rows, rows, payload);
        }
        self.rows += rows;
        self.frames.push(frame);
    }
}

impl Joined {
    fn add(&mut self, found: &ColumnBuffers, before: usize, rows: usize, payload: &[u8]) {
        self.values.extend_from_slice(&payload[found.data.at..found.data.at + found.data.len]);
        if found.nulls > 0 {
            let bits = &payload[found.validity.at..found.validity.at + found.validity.len];
            self.missing.resize(before, 0);
            self.missing.extend((0..rows).map(|row| !bits[row / 8] >> (row % 8) & 1));
        } else if !self.missing.is_empty() {
            self.missing.resize(before + rows, 0);
        }
    }
}

fn check_wanted(schema: &Schema, wanted: &[usize]) -> Result<(), RingError> {
    for index in wanted {
        let kind = schema.columns().get(*index).map(|column| column.kind);
        if !matches!(kind, Some(ColumnKind::Time | ColumnKind::Number(_) | ColumnKind::List(..))) {
            return Err(RingError::Invalid(format!("column {index} holds no numbers")));
        }
    }
    Ok(())
}

/// Reads records from `sequence` on, up to `end` or until `max_bytes` of them are read.
///
/// A record that is gone or damaged is an error only where it is the first; else it ends the piece.
pub fn gather(
    ring: &RingReader,
    format: &Format,
    wanted: &[usize],
    (sequence, end): (u64, u64),
    max_bytes: usize,
) -> Result<Gathered, RingError> {
    let (schema, template) = (format.schema(), format.template());
    check_wanted(schema, wanted)?;
    let columns = wanted.iter().map(|_| Joined::default()).collect();
    let mut found = Gathered { columns, ..Gathered::default() };
    let (mut payload, mut bytes) = (Vec::new(), 0_usize);
    ring.region().check_size()?;
    for sequence in sequence..end {
        let read = read_into(ring, sequence, &mut payload).and_then(|frame| {
            Ok((frame, Batch::parse_known(schema, template, &payload, &payload)?))
        });
        match read {
            Ok((frame, batch)) if batch.rows == frame.rows => {
                if found.frames.is_empty() {
                    let records = (max_bytes / payload.len().max(1) + 1) as u64;
                    found.reserve(records.min(end - sequence) as usize, &batch, wanted);
                }
                found.add(frame, &batch, wanted, &payload);
            }
            Ok(_) if found.frames.is_empty() => {
                return Err(RingError::corrupt(format!("record {sequence} contradicts its frame")));
            }
            Err(error) if found.frames.is_empty() => return Err(error),
            Ok(_) | Err(_) => break,
        }
        bytes += payload.len();
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(found)
}

fn read_into(ring: &RingReader, sequence: u64, into: &mut Vec<u8>) -> Result<Frame, RingError> {
    let located = ring.locate_again(sequence)?;
    into.resize(located.frame.payload_len as usize, 0);
    ring.copy_payload(&located, into);
    ring.verify(&located)?;
    Ok(located.frame)
}
