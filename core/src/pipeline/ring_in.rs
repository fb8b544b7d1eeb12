//! A ring's records as packets.

use std::path::Path;
use std::time::Duration;

use super::Rate;
use super::slab::{BufferSlab, DataType, Header};
use super::stage::Format;
use crate::arrow::{ColumnKind, Primitive, Schema, Template};
use crate::error::RingError;
use crate::reader::Located;
use crate::region::clock_nanos;
use crate::ring::RingReader;

/// Off by no more than this, a record's time is the expected one, rounded.
const ROUNDED_NANOS: i64 = 2;

/// What looking for the next packet found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The packet is filled.
    Packet,
    /// There is nothing yet.
    Nothing,
    /// The writer lapped this reader, which goes on with the oldest record left; rows lost, if known.
    Lost(u64, Option<u64>),
    /// The writer has ended, and everything was read.
    End,
}

/// Reads a stream of samples, record by record.
#[derive(Debug)]
pub struct RingIn {
    reader: RingReader,
    template: Template,
    head: Vec<u8>,
    format: Format,
    next: u64,
    /// The file had its size when the next record was waited for.
    sized: bool,
    /// The record that is being read, and its rows that are done.
    current: Option<(Located, usize)>,
    origin_nanos: i64,
    first_sample: u64,
    packets: u64,
}

impl RingIn {
    /// Reads from the newest record on, or from the oldest; packets have at most so many samples.
    pub fn open(
        path: &Path,
        rate: Rate,
        samples: usize,
        from_oldest: bool,
    ) -> Result<Self, RingError> {
        let reader = RingReader::open(path)?;
        reader.region().populate();
        let schema = Schema::from_message(reader.schema())?;
        let kinds: Vec<ColumnKind> = schema.columns().iter().map(|column| column.kind).collect();
        let (kind, channels) = match kinds[..] {
            [ColumnKind::List(Primitive::Int32, channels)] => (DataType::Raw, channels),
            [ColumnKind::List(Primitive::Float32, channels)] => (DataType::Voltage, channels),
            _ => {
                return Err(RingError::Invalid(format!(
                    "a pipeline reads streams of int32 or float32 samples; found {kinds:?}"
                )));
            }
        };
        let template = Template::of(&schema)?;
        let head = vec![0; template.len()];
        let format = Format { kind, channels, samples, rate };
        let next = if from_oldest { reader.oldest_sequence() } else { reader.next_sequence() };
        Ok(Self {
            reader,
            template,
            head,
            format,
            next,
            sized: false,
            current: None,
            origin_nanos: i64::MIN,
            first_sample: 0,
            packets: 0,
        })
    }

    /// The form of its packets.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Fills a packet with the next samples, without waiting.
    pub fn read(&mut self, packet: &mut BufferSlab) -> Result<Found, RingError> {
        let outcome = match self.current {
            Some((located, done)) => self.read_rows(located, done, packet),
            None => self.locate().and_then(|located| {
                self.begin(&located);
                self.read_rows(located, 0, packet)
            }),
        };
        match outcome {
            Ok(()) => Ok(Found::Packet),
            Err(RingError::NotYetWritten { .. }) => Ok(Found::Nothing),
            Err(RingError::EndOfStream | RingError::WriterGone) => Ok(Found::End),
            Err(RingError::Overrun { lost_records, lost_rows, resume_at }) => {
                // Of a record that was being read, these rows are through.
                let done = self.current.map_or(0, |(_, done)| done as u64);
                (self.next, self.current) = (resume_at, None);
                // Whatever the times say, a loss is no jitter.
                (self.origin_nanos, self.first_sample) = (i64::MIN, 0);
                Ok(Found::Lost(lost_records, lost_rows.map(|rows| rows.saturating_sub(done))))
            }
            Err(other) => Err(other),
        }
    }

    /// Whether looking for the next packet finds something out.
    pub fn is_due(&self) -> bool {
        self.current.is_some() || self.reader.next_sequence() > self.next
    }

    /// Waits for the next record; may return early.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), RingError> {
        self.sized = self.reader.wait_slice(self.next, timeout)?;
        Ok(())
    }

    /// Finds the next record, without asking for the file's size twice.
    fn locate(&mut self) -> Result<Located, RingError> {
        if std::mem::take(&mut self.sized)
            && let Ok(found) = self.reader.locate_again(self.next)
        {
            return Ok(found);
        }
        self.reader.locate(self.next)
    }

    /// Goes on with the stretch, or starts anew where the record's time leaves a gap.
    ///
    /// Stamps that go astray by less than a sample, or half a record, have jitter: the places go on,
    /// and the origin is moved to what the record says.
    fn begin(&mut self, located: &Located) {
        let rate = self.format.rate;
        let first = located.frame.first_nanos;
        let later = rate.nanos(self.first_sample);
        let expected = self.origin_nanos.saturating_add(later);
        let jitter = rate.nanos(1.max(located.frame.rows / 2));
        if first.saturating_sub(expected).saturating_abs() >= jitter {
            (self.origin_nanos, self.first_sample) = (first, 0);
        } else if (first - expected).abs() > ROUNDED_NANOS {
            self.origin_nanos = first.saturating_sub(later);
        }
    }

    fn read_rows(
        &mut self,
        located: Located,
        done: usize,
        packet: &mut BufferSlab,
    ) -> Result<(), RingError> {
        let (at, rows) = self.place_of(&located)?;
        let count = (rows - done).min(self.format.samples);
        packet.set_header(Header {
            kind: self.format.kind,
            channels: self.format.channels,
            samples: count,
            origin_nanos: self.origin_nanos,
            first_sample: self.first_sample,
            rate: self.format.rate,
            frame_id: self.packets,
            entered_nanos: clock_nanos(),
        })?;
        let row = self.format.channels * 4;
        let bytes = &self.reader.payload(&located)[at + done * row..][..count * row];
        packet.fill_rows(bytes)?;
        self.reader.verify(&located)?;
        self.packets += 1;
        self.first_sample += count as u64;
        let finished = done + count == rows;
        self.current = (!finished).then_some((located, done + count));
        self.next += u64::from(finished);
        Ok(())
    }

    /// Where a record's numbers begin in its payload, and how many rows there are.
    fn place_of(&mut self, located: &Located) -> Result<(usize, usize), RingError> {
        let damaged = || RingError::corrupt("a record of the ring is no record of its schema");
        if !self.reader.copy_start(located, &mut self.head) {
            return Err(damaged());
        }
        self.reader.verify(located)?;
        let numbers = self.template.numbers(&self.head).ok_or_else(damaged)?;
        let rows = usize::try_from(numbers.rows).map_err(|_| damaged())?;
        // The list's own validity, its items' validity, its data: offset and length of the last.
        let word = |at: usize| -> Option<usize> {
            let bytes = numbers.buffers.get(at..at + 8)?;
            usize::try_from(i64::from_le_bytes(std::array::from_fn(|i| bytes[i]))).ok()
        };
        let (offset, len) = word(32).zip(word(40)).ok_or_else(damaged)?;
        let at = self.head.len().checked_add(offset).ok_or_else(damaged)?;
        let wanted = rows.checked_mul(self.format.channels * 4).ok_or_else(damaged)?;
        let fits =
            at.checked_add(wanted).is_some_and(|end| end as u64 <= located.frame.payload_len);
        if rows == 0 || wanted > len || !fits {
            return Err(damaged());
        }
        Ok((at, rows))
    }
}
