//! What columns a ring's records have, and the Arrow schema message that says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{DataType, Field, Schema as ArrowSchema, TimeUnit};

use super::{CONTINUATION, PREFIX};
use crate::error::RingError;

/// A number's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Primitive {
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Float32,
    Float64,
}

const PRIMITIVES: [(Primitive, &str, DataType); 10] = [
    (Primitive::Int8, "int8", DataType::Int8),
    (Primitive::Int16, "int16", DataType::Int16),
    (Primitive::Int32, "int32", DataType::Int32),
    (Primitive::Int64, "int64", DataType::Int64),
    (Primitive::Uint8, "uint8", DataType::UInt8),
    (Primitive::Uint16, "uint16", DataType::UInt16),
    (Primitive::Uint32, "uint32", DataType::UInt32),
    (Primitive::Uint64, "uint64", DataType::UInt64),
    (Primitive::Float32, "float32", DataType::Float32),
    (Primitive::Float64, "float64", DataType::Float64),
];

impl Primitive {
    /// The type of a name such as `float32`.
    pub fn from_name(name: &str) -> Option<Self> {
        PRIMITIVES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        PRIMITIVES[self as usize].1
    }

    /// Bytes of one number.
    pub fn width(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int32 | Self::Uint32 | Self::Float32 => 4,
            Self::Int64 | Self::Uint64 | Self::Float64 => 8,
        }
    }

    fn data_type(self) -> DataType {
        PRIMITIVES[self as usize].2.clone()
    }

    fn from_data_type(data_type: &DataType) -> Option<Self> {
        PRIMITIVES.iter().find(|row| row.2 == *data_type).map(|row| row.0)
    }
}

/// How a column's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Nanoseconds since the epoch, UTC.
    Time,
    /// One number a row.
    Number(Primitive),
    /// One bit a row.
    Bool,
    /// UTF-8 text.
    Text,
    /// So many numbers a row.
    List(Primitive, usize),
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How its values are stored.
    pub kind: ColumnKind,
    /// Whether values may be missing.
    pub nullable: bool,
    /// Unit and the like.
    pub metadata: BTreeMap<String, String>,
}

/// The columns of a ring's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    columns: Vec<Column>,
    metadata: BTreeMap<String, String>,
    message: Vec<u8>,
}

impl ColumnKind {
    fn data_type(self) -> DataType {
        match self {
            Self::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Self::Number(primitive) => primitive.data_type(),
            Self::Bool => DataType::Boolean,
            Self::Text => DataType::Utf8,
            Self::List(primitive, len) => {
                let item = Field::new("item", primitive.data_type(), false);
                DataType::FixedSizeList(Arc::new(item), len as i32)
            }
        }
    }

    fn from_data_type(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) if &**zone == "UTC" => {
                Some(Self::Time)
            }
            DataType::Boolean => Some(Self::Bool),
            DataType::Utf8 => Some(Self::Text),
            DataType::FixedSizeList(item, len) if !item.is_nullable() => {
                let len = usize::try_from(*len).ok().filter(|len| *len > 0)?;
                Some(Self::List(Primitive::from_data_type(item.data_type())?, len))
            }
            other => Primitive::from_data_type(other).map(Self::Number),
        }
    }

    /// Nodes and buffers of such a column in a record-batch message.
    pub(super) fn message_parts(self) -> (usize, usize) {
        match self {
            Self::List(..) => (2, 3),
            Self::Text => (1, 3),
            Self::Time | Self::Number(_) | Self::Bool => (1, 2),
        }
    }

    /// Nodes and buffers of all columns in a record-batch message.
    pub(super) fn parts_of(kinds: impl Iterator<Item = Self>) -> (usize, usize) {
        let parts = kinds.map(Self::message_parts);
        parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    /// Bytes of one row's value; `None` where that varies or is less than a byte.
    pub fn row_bytes(self) -> Option<usize> {
        match self {
            Self::Time => Some(8),
            Self::Number(primitive) => Some(primitive.width()),
            Self::List(primitive, len) => primitive.width().checked_mul(len),
            Self::Bool | Self::Text => None,
        }
    }
}

impl Column {
    fn field(&self) -> Field {
        let metadata =
            self.metadata.clone().into_iter().collect::<std::collections::HashMap<_, _>>();
        Field::new(&self.name, self.kind.data_type(), self.nullable).with_metadata(metadata)
    }

    fn from_field(field: &Field) -> Result<Self, RingError> {
        let kind = ColumnKind::from_data_type(field.data_type()).ok_or_else(|| {
            RingError::corrupt(format!(
                "column {:?} has a type that rings do not carry: {}",
                field.name(),
                field.data_type()
            ))
        })?;
        Ok(Self {
            name: field.name().clone(),
            kind,
            nullable: field.is_nullable(),
            metadata: field.metadata().iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        })
    }
}

fn encapsulate(flatbuffer: &[u8]) -> Vec<u8> {
    let padded = flatbuffer.len().next_multiple_of(8);
    let mut message = Vec::with_capacity(PREFIX + padded);
    message.extend_from_slice(&CONTINUATION);
    message.extend_from_slice(&(padded as u32).to_le_bytes());
    message.extend_from_slice(flatbuffer);
    message.resize(PREFIX + padded, 0);
    message
}

impl Schema {
    /// The schema of some columns, with its message.
    pub fn new(
        columns: Vec<Column>,
        metadata: BTreeMap<String, String>,
    ) -> Result<Self, RingError> {
        if columns.is_empty() {
            return Err(RingError::Invalid("a schema needs at least one column".into()));
        }
        let mut schema = Self { columns, metadata, message: Vec::new() };
        let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
            &schema.to_arrow(),
            &mut DictionaryTracker::new(false),
            &IpcWriteOptions::default(),
        );
        schema.message = encapsulate(&encoded.ipc_message);
        Ok(schema)
    }

    /// Reads an encapsulated schema message.
    pub fn from_message(message: &[u8]) -> Result<Self, RingError> {
        let found = arrow_ipc::convert::try_schema_from_ipc_buffer(message)
            .map_err(|e| RingError::corrupt(format!("the schema message is damaged: {e}")))?;
        let fields = found.fields().iter();
        let columns = fields.map(|f| Column::from_field(f)).collect::<Result<Vec<_>, _>>()?;
        let metadata = found.metadata().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Self { columns, metadata, message: message.to_vec() })
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// What else the schema says.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The encapsulated schema message.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The same in Arrow's own type.
    pub fn to_arrow(&self) -> ArrowSchema {
        let fields: Vec<Field> = self.columns.iter().map(Column::field).collect();
        let metadata =
            self.metadata.clone().into_iter().collect::<std::collections::HashMap<_, _>>();
        ArrowSchema::new_with_metadata(fields, metadata)
    }
}
