//! What the records of a ring look like.

use std::sync::{Arc, Mutex};

use crate::arrow::{Batch, ColumnKind, Schema, Template};
use crate::error::RingError;
use crate::reader::Located;
use crate::ring::RingReader;

/// The schema of a ring's records, and what their heads look like.
#[derive(Debug)]
pub struct Format {
    schema: Schema,
    template: Template,
    last: Mutex<Option<Known>>,
}

/// A head, and the columns that it leads to in a payload of such a length.
#[derive(Debug)]
struct Known {
    head: Vec<u8>,
    payload_len: u64,
    batch: Arc<Batch>,
}

impl Format {
    /// The format that a ring's schema stands for; `None` if that is none of ours.
    pub fn of(message: &[u8]) -> Option<Self> {
        let schema = Schema::from_message(message).ok()?;
        let template = Template::of(&schema).ok()?;
        Some(Self { schema, template, last: Mutex::new(None) })
    }

    /// The columns.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What heads of records look like.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Finds the columns of a located record, by a copy of its head. Not verified.
    ///
    /// Most records of a stream have the same head, and then the same columns.
    pub fn find(&self, ring: &RingReader, located: &Located) -> Result<Arc<Batch>, RingError> {
        self.known(ring, located).map_or_else(|| self.parse(ring, located), Ok)
    }

    /// What the last head led to, if this record has the same one.
    fn known(&self, ring: &RingReader, located: &Located) -> Option<Arc<Batch>> {
        // Whoever finds another thread there parses by itself.
        let last = self.last.try_lock().ok()?;
        let Known { head, payload_len, batch } = last.as_ref()?;
        // Compared where it lies: if it changes meanwhile, the caller's check tells.
        let same =
            *payload_len == located.frame.payload_len && ring.payload(located).starts_with(head);
        same.then(|| Arc::clone(batch))
    }

    fn parse(&self, ring: &RingReader, located: &Located) -> Result<Arc<Batch>, RingError> {
        let payload = ring.payload(located);
        let mut head = vec![0; self.template.len()];
        let known = ring.copy_start(located, &mut head);
        if let Some(numbers) = known.then(|| self.template.numbers(&head)).flatten() {
            let found = Batch::from_numbers(&self.schema, &numbers, head.len(), payload)?;
            let batch = Arc::new(found);
            self.remember(head, located.frame.payload_len, &batch);
            return Ok(batch);
        }
        let head = ring.message_head(located)?;
        Ok(Arc::new(Batch::parse_with(&self.schema, &head, payload)?))
    }

    fn remember(&self, head: Vec<u8>, payload_len: u64, batch: &Arc<Batch>) {
        // Where texts lie is said in the payload itself, and checked there.
        let has_text = self.schema.columns().iter().any(|column| column.kind == ColumnKind::Text);
        if let (false, Ok(mut last)) = (has_text, self.last.try_lock()) {
            *last = Some(Known { head, payload_len, batch: Arc::clone(batch) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::arrow::{Column, ColumnData, Encoder, Primitive};
    use crate::ring::RingWriter;

    const CAPACITY: u64 = 1 << 15;

    fn schema(kind: ColumnKind) -> Schema {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
            nullable: false,
            metadata: BTreeMap::new(),
        };
        let columns = vec![column("time", ColumnKind::Time), column("x", kind)];
        Schema::new(columns, BTreeMap::new()).unwrap()
    }

    /// A ring, its format, and a reader.
    fn ring(schema: &Schema) -> (tempfile::TempDir, RingWriter, Format, RingReader) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.00000001.ring");
        let ring = RingWriter::create(&path, schema.message(), CAPACITY, 64).unwrap();
        let (format, reader) = (Format::of(schema.message()).unwrap(), ring.reader().unwrap());
        (directory, ring, format, reader)
    }

    fn found(format: &Format, reader: &RingReader, sequence: u64) -> Result<Batch, RingError> {
        let located = reader.locate(sequence)?;
        format.find(reader, &located).map(|batch| (*batch).clone())
    }

    #[test]
    fn records_of_the_same_and_of_other_lengths_are_found_as_they_are() {
        let schema = schema(ColumnKind::Number(Primitive::Float64));
        let (_directory, mut ring, format, reader) = ring(&schema);
        let mut encoder = Encoder::new(&schema).unwrap();
        for rows in [1, 1, 9, 9, 1, 8, 9] {
            let data = vec![0; 8 * rows as usize];
            let column = ColumnData { data: &data, ..ColumnData::default() };
            let sequence = encoder.write(&mut ring, rows, (0, 0), &[column, column]).unwrap();
            let payload = reader.read(sequence).unwrap().1;
            let wanted = Batch::parse(&schema, &payload).unwrap();
            assert_eq!(found(&format, &reader, sequence).unwrap(), wanted);
            assert_eq!(wanted.rows, rows);
        }
    }

    #[test]
    fn a_record_that_is_cut_is_refused_though_its_head_is_known() {
        let schema = schema(ColumnKind::Number(Primitive::Float64));
        let (_directory, mut ring, format, reader) = ring(&schema);
        let mut encoder = Encoder::new(&schema).unwrap();
        let data = [0; 16];
        let column = ColumnData { data: &data, ..ColumnData::default() };
        encoder.write(&mut ring, 2, (0, 0), &[column, column]).unwrap();
        assert!(found(&format, &reader, 0).is_ok());
        let payload = reader.read(0).unwrap().1;
        ring.append(&payload[..payload.len() - 64], 0, 0, 2).unwrap();
        assert!(matches!(found(&format, &reader, 1), Err(RingError::Corrupt(_))));
    }

    #[test]
    fn texts_are_checked_in_each_record() {
        let schema = schema(ColumnKind::Text);
        let (_directory, mut ring, format, reader) = ring(&schema);
        let mut encoder = Encoder::new(&schema).unwrap();
        let ends: Vec<u8> = [0_i32, 3].iter().flat_map(|end| end.to_le_bytes()).collect();
        let times = ColumnData { data: &[0; 8], ..ColumnData::default() };
        let texts = ColumnData { offsets: &ends, data: b"abc", ..ColumnData::default() };
        encoder.write(&mut ring, 1, (0, 0), &[times, texts]).unwrap();
        let place = found(&format, &reader, 0).unwrap().columns[1].offsets;
        let mut payload = reader.read(0).unwrap().1;
        payload[place.at + 4..][..4].copy_from_slice(&4_i32.to_le_bytes());
        ring.append(&payload, 0, 0, 1).unwrap();
        assert!(matches!(found(&format, &reader, 1), Err(RingError::Corrupt(_))));
    }
}
