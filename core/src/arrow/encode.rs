//! Writing records: metadata by template, columns by copy, nothing allocated at steady state.

use super::schema::{ColumnKind, Schema};
use super::template::Template;
use crate::error::RingError;
use crate::layout::ALIGNMENT;
use crate::ring::RingWriter;
use crate::writer::{Slot, Stamp};

/// What an older record left behind must not show.
const ZEROS: [u8; ALIGNMENT as usize] = [0; ALIGNMENT as usize];

/// One column of a record, as bytes in Arrow's form.
#[derive(Debug, Clone, Copy, Default)]
pub struct ColumnData<'a> {
    /// How many values are missing.
    pub nulls: u64,
    /// One bit a row, 1 where there is a value; empty if none is missing.
    pub validity: &'a [u8],
    /// For text: rows + 1 ends, i32.
    pub offsets: &'a [u8],
    /// The values.
    pub data: &'a [u8],
}

fn pad(len: usize) -> usize {
    len.next_multiple_of(ALIGNMENT as usize)
}

fn bits(rows: u64) -> u64 {
    rows.div_ceil(8)
}

impl<'a> ColumnData<'a> {
    /// The column's buffers in the order of the message.
    fn buffers(&self, kind: ColumnKind) -> ([&'a [u8]; 3], usize) {
        match kind {
            ColumnKind::Text => ([self.validity, self.offsets, self.data], 3),
            // A list's own validity, then its items' validity and data.
            ColumnKind::List(..) => ([self.validity, &[], self.data], 3),
            ColumnKind::Time | ColumnKind::Number(_) | ColumnKind::Bool => {
                ([self.validity, self.data, &[]], 2)
            }
        }
    }

    fn shape(&self, kind: ColumnKind) -> Shape {
        let (buffers, count) = self.buffers(kind);
        Shape { nulls: self.nulls, lengths: buffers.map(<[u8]>::len), count }
    }

    fn check(&self, kind: ColumnKind, nullable: bool, rows: u64) -> Result<(), RingError> {
        let wanted = match kind {
            ColumnKind::Bool => Some(bits(rows)),
            ColumnKind::Text => None,
            _ => kind.row_bytes().and_then(|width| rows.checked_mul(width as u64)),
        };
        let found = self.data.len() as u64;
        if wanted.is_some_and(|wanted| wanted != found) {
            return Err(RingError::Invalid(format!(
                "{rows} rows should have {} bytes; found {found}",
                wanted.unwrap_or_default()
            )));
        }
        if kind == ColumnKind::Text && self.offsets.len() as u64 != (rows + 1) * 4 {
            return Err(RingError::Invalid(format!("{rows} texts need {} offsets", rows + 1)));
        }
        if self.nulls > 0 && !nullable {
            return Err(RingError::Invalid("a value is missing where none may be".into()));
        }
        if self.nulls > 0 && self.validity.len() as u64 != bits(rows) {
            return Err(RingError::Invalid(format!(
                "{rows} rows need {} validity bytes",
                bits(rows)
            )));
        }
        Ok(())
    }
}

/// How many bytes each buffer of a column has.
#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    nulls: u64,
    lengths: [usize; 3],
    count: usize,
}

impl Shape {
    /// Of rows of fixed width without missing values; `None` for text.
    fn full(kind: ColumnKind, rows: u64) -> Option<Self> {
        let data = match kind {
            ColumnKind::Text => return None,
            ColumnKind::Bool => usize::try_from(bits(rows)).ok()?,
            other => other.row_bytes()?.checked_mul(usize::try_from(rows).ok()?)?,
        };
        Some(match kind {
            ColumnKind::List(..) => Self { nulls: 0, lengths: [0, 0, data], count: 3 },
            _ => Self { nulls: 0, lengths: [0, data, 0], count: 2 },
        })
    }

    fn data_len(&self) -> usize {
        self.lengths[self.count - 1]
    }
}

/// Room for a record in the ring, to be filled in place.
#[derive(Debug)]
pub struct Open {
    /// The record's room.
    pub slot: Slot,
    /// Where each column's values go in the payload, and how many bytes they are.
    pub places: Vec<(usize, usize)>,
}

/// Writes records of one schema.
#[derive(Debug)]
pub struct Encoder {
    kinds: Vec<(ColumnKind, bool)>,
    template: Template,
    row: RowImage,
    /// Room for the places of the next record that is filled in place.
    spare: Vec<(usize, usize)>,
}

/// A whole record of one row without text or missing values, to be overwritten in place.
#[derive(Debug, Default)]
struct RowImage {
    bytes: Vec<u8>,
    /// What each column holds and where its value goes; empty if some column has no fixed width.
    places: Vec<(ColumnKind, usize)>,
}

impl Encoder {
    /// An encoder for a schema.
    pub fn new(schema: &Schema) -> Result<Self, RingError> {
        let kinds: Vec<_> = schema.columns().iter().map(|c| (c.kind, c.nullable)).collect();
        let template = Template::of(schema)?;
        let mut encoder = Self { kinds, template, row: RowImage::default(), spare: Vec::new() };
        encoder.row = encoder.row_image();
        Ok(encoder)
    }

    /// Bytes of the smallest record's payload.
    pub fn smallest_payload(&self) -> u64 {
        let data = self.kinds.iter().map(|(kind, _)| match kind {
            ColumnKind::Text => pad(8),
            other => pad(other.row_bytes().unwrap_or(1)),
        });
        (self.template.len() + data.sum::<usize>()) as u64
    }

    /// What each column holds and where its value goes in the image of a one-row record, and that
    /// image.
    ///
    /// There are no places if one-row records vary in size.
    #[inline(always)]
    pub fn row_parts(&mut self) -> (&[(ColumnKind, usize)], &mut [u8]) {
        (&self.row.places, &mut self.row.bytes)
    }

    /// Bytes of a one-row record; 0 if they vary.
    pub fn row_len(&self) -> usize {
        self.row.bytes.len()
    }

    /// Writes the row image as a record of a time. The ring has been hailed, and the clock asked.
    #[inline(always)]
    pub fn write_row(
        &self,
        ring: &mut RingWriter,
        time_nanos: i64,
        heartbeat_nanos: u64,
    ) -> Result<u64, RingError> {
        let (first_nanos, last_nanos) = (time_nanos, time_nanos);
        let stamp = Stamp { first_nanos, last_nanos, rows: 1, heartbeat_nanos };
        ring.append_stamped(&self.row.bytes, stamp)
    }

    /// Writes a record of columns.
    pub fn write(
        &mut self,
        ring: &mut RingWriter,
        rows: u64,
        span: (i64, i64),
        columns: &[ColumnData<'_>],
    ) -> Result<u64, RingError> {
        if columns.len() != self.kinds.len() {
            let (wanted, found) = (self.kinds.len(), columns.len());
            return Err(RingError::Invalid(format!("{wanted} columns are needed; found {found}")));
        }
        self.write_each(ring, rows, span, |index| columns[index])
    }

    /// Writes a record whose columns are asked for one by one, so that nobody needs a list of them.
    pub fn write_each<'a>(
        &mut self,
        ring: &mut RingWriter,
        rows: u64,
        span: (i64, i64),
        column: impl Fn(usize) -> ColumnData<'a>,
    ) -> Result<u64, RingError> {
        for (index, (kind, nullable)) in self.kinds.iter().enumerate() {
            column(index).check(*kind, *nullable, rows)?;
        }
        let body = self.patch(rows, |index, kind| column(index).shape(kind));
        ring.hail(self.template.len() + body);
        let slot = ring.reserve((self.template.len() + body) as u64)?;
        ring.fill(&slot, 0, self.template.bytes())?;
        let mut at = self.template.len();
        for (index, (kind, _)) in self.kinds.iter().enumerate() {
            let (buffers, count) = column(index).buffers(*kind);
            for buffer in &buffers[..count] {
                ring.fill(&slot, at, buffer)?;
                let padding = pad(buffer.len()) - buffer.len();
                ring.fill(&slot, at + buffer.len(), &ZEROS[..padding])?;
                at += pad(buffer.len());
            }
        }
        Ok(ring.commit(slot, span.0, span.1, rows))
    }

    /// Makes room for a record whose values somebody else fills in before it is committed.
    ///
    /// No value may be missing, and columns of text are refused.
    pub fn open(&mut self, ring: &mut RingWriter, rows: u64) -> Result<Open, RingError> {
        if self.kinds.iter().any(|(kind, _)| Shape::full(*kind, rows).is_none()) {
            let text = "only rows of fixed width can be filled in place";
            return Err(RingError::Invalid(text.into()));
        }
        let body = self.patch(rows, |_, kind| Shape::full(kind, rows).unwrap_or_default());
        let slot = ring.reserve((self.template.len() + body) as u64)?;
        ring.fill(&slot, 0, self.template.bytes())?;
        let mut at = self.template.len();
        let mut places = std::mem::take(&mut self.spare);
        places.clear();
        for (kind, _) in &self.kinds {
            let len = Shape::full(*kind, rows).map_or(0, |shape| shape.data_len());
            places.push((at, len));
            ring.fill(&slot, at + len, &ZEROS[..pad(len) - len])?;
            at += pad(len);
        }
        Ok(Open { slot, places })
    }

    /// Takes the places of a record that was committed, so that the next one needs no new list.
    pub fn take_back(&mut self, places: Vec<(usize, usize)>) {
        self.spare = places;
    }

    /// Patches the template for a record, and returns the length of its body.
    fn patch(&mut self, rows: u64, shape: impl Fn(usize, ColumnKind) -> Shape) -> usize {
        let (mut node, mut buffer, mut body) = (0, 0, 0);
        for (index, (kind, _)) in self.kinds.iter().enumerate() {
            let shape = shape(index, *kind);
            self.template.set_node(node, rows, shape.nulls);
            if let ColumnKind::List(_, len) = kind {
                self.template.set_node(node + 1, rows * *len as u64, 0);
            }
            for len in &shape.lengths[..shape.count] {
                self.template.set_buffer(buffer, body as u64, *len as u64);
                body += pad(*len);
                buffer += 1;
            }
            node += kind.message_parts().0;
        }
        self.template.set_lengths(rows, body as u64);
        body
    }

    fn row_image(&mut self) -> RowImage {
        let width = |kind: ColumnKind| match kind {
            ColumnKind::Bool => Some(1),
            ColumnKind::List(..) => None,
            other => other.row_bytes(),
        };
        let widths: Option<Vec<usize>> = self.kinds.iter().map(|(kind, _)| width(*kind)).collect();
        let Some(widths) = widths else {
            return RowImage::default();
        };
        let shape = |index: usize, _| Shape { nulls: 0, lengths: [0, widths[index], 0], count: 2 };
        let body = self.patch(1, shape);
        let mut bytes = self.template.bytes().to_vec();
        bytes.resize(self.template.len() + body, 0);
        let mut at = self.template.len();
        let places = self.kinds.iter().zip(&widths).map(|((kind, _), width)| {
            let place = at;
            at += pad(*width);
            (*kind, place)
        });
        RowImage { places: places.collect(), bytes }
    }
}
