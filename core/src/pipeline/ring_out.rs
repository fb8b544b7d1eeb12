//! Packets into a ring: one packet, one record; where the layout allows, written in place.
#![allow(unsafe_code, reason = "room in the ring is filled by kernels")]

use std::path::Path;

use super::slab::{BufferSlab, Header, LANE_STEP};
use super::stage::{Format, refuse};
use crate::arrow::{ColumnKind, Encoder, Primitive, Schema, Template};
use crate::error::RingError;
use crate::layout::ALIGNMENT;
use crate::ring::RingWriter;
use crate::writer::Slot;

const PADDING: [u8; ALIGNMENT as usize] = [0; ALIGNMENT as usize];

/// How a packet becomes a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Each row of the packet is one of the record.
    Samples(usize),
    /// The whole packet is one row, with its time, of so many numbers.
    Frame(usize),
}

/// The writing end of a ring for packets.
#[derive(Debug)]
pub struct RingOut {
    ring: RingWriter,
    template: Template,
    form: Form,
    numbers: Primitive,
    channels: usize,
    /// What the template says now.
    rows: usize,
}

/// Room for one record.
#[derive(Debug)]
pub struct Room {
    slot: Slot,
    /// Where the numbers go in the payload.
    at: usize,
    rows: usize,
}

fn form_of(schema: &Schema) -> Result<(Form, Primitive), RingError> {
    let kinds: Vec<ColumnKind> = schema.columns().iter().map(|column| column.kind).collect();
    match kinds[..] {
        [ColumnKind::List(number, len)] if number.width() == 4 => Ok((Form::Samples(len), number)),
        [ColumnKind::Time, ColumnKind::List(Primitive::Float32, len)] => {
            Ok((Form::Frame(len), Primitive::Float32))
        }
        _ => Err(RingError::Invalid(format!(
            "packets need a stream of float32 or int32 samples, or of float32 frames; found {kinds:?}"
        ))),
    }
}

fn pad(len: usize) -> usize {
    len.next_multiple_of(ALIGNMENT as usize)
}

impl RingOut {
    /// Makes a ring for packets.
    pub fn create(path: &Path, schema: &Schema, capacity: u64) -> Result<Self, RingError> {
        let (form, numbers) = form_of(schema)?;
        let smallest = Encoder::new(schema)?.smallest_payload();
        let template = Template::of(schema)?;
        let ring = RingWriter::create(path, schema.message(), capacity, smallest)?;
        ring.region().populate();
        Ok(Self { ring, template, form, numbers, channels: 0, rows: 0 })
    }

    /// Refuses packets that are no records of this ring.
    pub fn plan(&mut self, input: Format) -> Result<(), RingError> {
        let wanted =
            if input.kind == super::DataType::Raw { Primitive::Int32 } else { Primitive::Float32 };
        let fits = match self.form {
            Form::Samples(channels) => channels == input.channels,
            Form::Frame(numbers) => numbers == input.channels * input.samples,
        };
        if !fits || wanted != self.numbers {
            return Err(refuse(
                &format!("the ring takes {:?} of {:?}", self.form, self.numbers),
                input,
            ));
        }
        self.channels = input.channels;
        Ok(())
    }

    /// The channels of its rows.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Whether a stage may write its rows into the ring itself.
    pub fn is_direct(&self) -> bool {
        self.channels.is_multiple_of(LANE_STEP)
    }

    /// The ring.
    pub fn ring(&self) -> &RingWriter {
        &self.ring
    }

    /// Patches the record's metadata; returns where the numbers begin, and the bytes of them.
    fn patch(&mut self, rows: usize) -> (usize, usize) {
        let bytes = rows * self.channels * 4;
        let before = if matches!(self.form, Form::Frame(_)) { pad(8) } else { 0 };
        if self.rows != rows {
            self.rows = rows;
            let numbers = (rows * self.channels) as u64;
            let body = (before + pad(bytes)) as u64;
            let (data, bytes) = (before as u64, bytes as u64);
            if before > 0 {
                self.template.set_node(0, 1, 0);
                self.template.set_node(1, 1, 0);
                self.template.set_node(2, numbers, 0);
                let places = [(0, 0), (0, 8), (data, 0), (data, 0), (data, bytes)];
                self.put_buffers(&places);
                self.template.set_lengths(1, body);
            } else {
                self.template.set_node(0, rows as u64, 0);
                self.template.set_node(1, numbers, 0);
                self.put_buffers(&[(0, 0), (0, 0), (0, bytes)]);
                self.template.set_lengths(rows as u64, body);
            }
        }
        (self.template.len() + before, bytes)
    }

    fn put_buffers(&mut self, places: &[(u64, u64)]) {
        for (index, (offset, len)) in places.iter().enumerate() {
            self.template.set_buffer(index, *offset, *len);
        }
    }

    /// Makes room for a record of so many rows; nobody sees it before it is committed.
    pub fn open(&mut self, rows: usize) -> Result<Room, RingError> {
        let (at, bytes) = self.patch(rows);
        let slot = self.ring.reserve((at + pad(bytes)) as u64)?;
        self.ring.fill(&slot, 0, self.template.bytes())?;
        self.ring.fill(&slot, at + bytes, &PADDING[..pad(bytes) - bytes])?;
        Ok(Room { slot, at, rows })
    }

    /// The numbers of a room, without padding between the rows.
    pub fn rows_mut(&mut self, room: &mut Room) -> &mut [f32] {
        let len = room.rows * self.channels;
        let start = room.slot.payload_at() + room.at;
        let region = self.ring.region();
        assert!(start + len * 4 <= region.len(), "a slot lies within the mapping");
        let start = region.address().cast_mut().wrapping_add(start);
        // SAFETY: the bytes are the slot's own, within the mapping, a multiple of 64 from its start,
        // and borrowed with the only writer; readers look at them only after the commit, and copy
        // what they look at by way of mappings of their own.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), len) }
    }

    /// Publishes a room that has been filled.
    pub fn commit(&mut self, room: Room, header: &Header) -> Result<u64, RingError> {
        let first = header.sample_timestamp(0);
        if let Form::Frame(_) = self.form {
            self.ring.fill(&room.slot, self.template.len(), &first.to_le_bytes())?;
            let rest = self.template.len() + 8;
            self.ring.fill(&room.slot, rest, &PADDING[8..])?;
            return Ok(self.ring.commit(room.slot, first, first, 1));
        }
        let last = header.sample_timestamp(room.rows.saturating_sub(1));
        Ok(self.ring.commit(room.slot, first, last, room.rows as u64))
    }

    /// Copies a packet into the ring.
    pub fn publish(&mut self, packet: &BufferSlab) -> Result<u64, RingError> {
        let header = *packet.header();
        let mut room = self.open(header.samples)?;
        let channels = self.channels;
        let to = self.rows_mut(&mut room);
        if packet.lanes() == channels {
            to.copy_from_slice(packet.samples());
        } else {
            let rows = packet.samples().chunks_exact(packet.lanes());
            for (to, from) in to.chunks_exact_mut(channels).zip(rows) {
                to.copy_from_slice(&from[..channels]);
            }
        }
        self.commit(room, &header)
    }

    /// Tells readers that nothing will follow.
    pub fn close(&mut self) {
        self.ring.close();
    }
}
