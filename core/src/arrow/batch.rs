//! Rows that wait to become one record.

use super::encode::{ColumnData, Encoder};
use super::schema::{ColumnKind, Schema};
use crate::error::RingError;
use crate::ring::RingWriter;

/// Rows of fixed width without missing values, column by column; a fixed amount of memory.
#[derive(Debug)]
pub struct RowBatch {
    columns: Vec<Waiting>,
    rows: usize,
    most: usize,
    first_nanos: i64,
    last_nanos: i64,
    first_clock: i64,
}

/// The waiting values of a column.
#[derive(Debug)]
struct Waiting {
    kind: ColumnKind,
    /// Bytes of a value; 0 where several share a byte.
    width: usize,
    values: Vec<u8>,
}

impl Waiting {
    fn new(kind: ColumnKind, most: usize) -> Option<Self> {
        let values = vec![0; column_bytes(kind, most)?];
        Some(Self { kind, width: kind.row_bytes().unwrap_or(0), values })
    }

    /// The first so many values.
    fn first(&self, rows: usize) -> &[u8] {
        &self.values[..column_bytes(self.kind, rows).unwrap_or(0)]
    }
}

fn column_bytes(kind: ColumnKind, rows: usize) -> Option<usize> {
    match kind {
        ColumnKind::Bool => Some(rows.div_ceil(8)),
        ColumnKind::Text | ColumnKind::List(..) => None,
        other => other.row_bytes()?.checked_mul(rows),
    }
}

impl RowBatch {
    /// Room for so many rows; `None` if a column has no fixed width.
    pub fn new(schema: &Schema, most: usize) -> Option<Self> {
        let columns = schema.columns().iter().map(|column| Waiting::new(column.kind, most));
        let columns = columns.collect::<Option<Vec<_>>>()?;
        Some(Self { columns, rows: 0, most, first_nanos: 0, last_nanos: 0, first_clock: 0 })
    }

    /// Bytes of a full record's columns, their padding included.
    pub fn bytes(&self) -> u64 {
        self.columns.iter().map(|column| column.values.len().next_multiple_of(64) as u64).sum()
    }

    /// Rows that wait.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there is no room for another row.
    pub fn is_full(&self) -> bool {
        self.rows >= self.most
    }

    /// The clock when the first waiting row was added.
    pub fn first_clock(&self) -> i64 {
        self.first_clock
    }

    /// Where the next row's value of a column goes, for columns of whole bytes.
    #[inline]
    pub fn place(&mut self, column: usize) -> &mut [u8] {
        let Waiting { width, values, .. } = &mut self.columns[column];
        &mut values[self.rows * *width..][..*width]
    }

    /// Sets the next row's value of a column of bools.
    #[inline]
    pub fn set_bool(&mut self, column: usize, value: bool) {
        let byte = &mut self.columns[column].values[self.rows / 8];
        let bit = 1 << (self.rows % 8);
        *byte = if value { *byte | bit } else { *byte & !bit };
    }

    /// Completes the next row, whose values were all set; there must be room.
    #[inline]
    pub fn push(&mut self, time_nanos: i64, clock: i64) {
        self.place(0).copy_from_slice(&time_nanos.to_le_bytes());
        if self.rows == 0 {
            (self.first_nanos, self.first_clock) = (time_nanos, clock);
        }
        self.last_nanos = time_nanos;
        self.rows += 1;
    }

    /// Writes the waiting rows as one record, if there are any.
    pub fn flush(&mut self, encoder: &mut Encoder, ring: &mut RingWriter) -> Result<(), RingError> {
        if self.rows == 0 {
            return Ok(());
        }
        let (rows, span) = (self.rows, (self.first_nanos, self.last_nanos));
        self.rows = 0;
        let column = |index: usize| ColumnData {
            data: self.columns[index].first(rows),
            ..ColumnData::default()
        };
        encoder.write_each(ring, rows as u64, span, column)?;
        Ok(())
    }
}
