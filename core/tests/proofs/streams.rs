//! Rings of each kind whose every value follows from the number of its record.

use std::collections::BTreeMap;

use ringdaq_core::RingError;
use ringdaq_core::RingWriter;
use ringdaq_core::arrow::{Column, ColumnData, ColumnKind, Encoder, Primitive, Schema};

/// What a ring carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Rows,
    Samples,
    Frames,
}

pub const KINDS: [Kind; 3] = [Kind::Rows, Kind::Samples, Kind::Frames];
const CHANNELS: usize = 8;
const PIXELS: usize = 16 * 16;

fn column(name: &str, kind: ColumnKind, nullable: bool) -> Column {
    Column { name: name.to_owned(), kind, nullable, metadata: BTreeMap::new() }
}

impl Kind {
    pub fn schema(self) -> Schema {
        let time = column("time", ColumnKind::Time, false);
        let columns = match self {
            Self::Rows => vec![
                time,
                column("value", ColumnKind::Number(Primitive::Float64), true),
                column("good", ColumnKind::Bool, true),
                column("note", ColumnKind::Text, true),
            ],
            Self::Samples => {
                vec![column("samples", ColumnKind::List(Primitive::Float32, CHANNELS), false)]
            }
            Self::Frames => {
                vec![time, column("image", ColumnKind::List(Primitive::Uint16, PIXELS), false)]
            }
        };
        let metadata = BTreeMap::from([("kind".to_owned(), format!("{self:?}"))]);
        Schema::new(columns, metadata).expect("a schema of known columns")
    }

    /// Writes record `number`.
    pub fn write(
        self,
        encoder: &mut Encoder,
        ring: &mut RingWriter,
        number: u64,
    ) -> Result<u64, RingError> {
        let (nanos, byte) = (number as i64 * 1000, number as u8);
        let plain = |data| ColumnData { data, ..ColumnData::default() };
        match self {
            Self::Rows => write_rows(encoder, ring, number),
            Self::Samples => {
                let rows = 1 + number * 7919 % 40;
                let bytes = vec![byte; rows as usize * CHANNELS * 4];
                encoder.write(ring, rows, (nanos, nanos + 999), &[plain(&bytes)])
            }
            Self::Frames => {
                let (time, image) = (nanos.to_le_bytes(), [byte; 2 * PIXELS]);
                encoder.write(ring, 1, (nanos, nanos), &[plain(&time), plain(&image)])
            }
        }
    }
}

/// One to four rows; every third record misses its last value.
fn write_rows(encoder: &mut Encoder, ring: &mut RingWriter, number: u64) -> Result<u64, RingError> {
    let rows = 1 + number % 4;
    let nanos = number as i64 * 1000;
    let times: Vec<u8> = (0..rows).flat_map(|row| (nanos + row as i64).to_le_bytes()).collect();
    let values: Vec<u8> = (0..rows).flat_map(|_| (number as f64).to_le_bytes()).collect();
    let text = number.to_string().repeat(rows as usize);
    let ends: Vec<u8> = (0..=rows)
        .flat_map(|row| ((text.len() as u64 * row / rows) as i32).to_le_bytes())
        .collect();
    let nulls = u64::from(number.is_multiple_of(3));
    let validity = [!(1u8 << (rows - 1))];
    let mut value = ColumnData { data: &values, ..ColumnData::default() };
    if nulls > 0 {
        (value.nulls, value.validity) = (nulls, &validity);
    }
    let columns = [
        ColumnData { data: &times, ..ColumnData::default() },
        value,
        ColumnData { data: &[5], ..ColumnData::default() },
        ColumnData { offsets: &ends, data: text.as_bytes(), ..ColumnData::default() },
    ];
    encoder.write(ring, rows, (nanos, nanos + rows as i64), &columns)
}
