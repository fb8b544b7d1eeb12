//! Python values and buffers as Arrow columns.

use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyList, PyString};

use super::errors::InvalidError;
use crate::arrow::{ColumnData, ColumnKind, Primitive};

/// The bytes of a contiguous buffer.
pub fn bytes_of(buffer: &PyUntypedBuffer) -> PyResult<&[u8]> {
    if !buffer.is_c_contiguous() {
        return Err(InvalidError::new_err("an array must be contiguous"));
    }
    let len = buffer.len_bytes();
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: the exporter keeps these bytes where they are while `buffer` lives. That nobody writes
    // them meanwhile is the caller's part, as with every function that takes an array; if somebody
    // does, the bytes that arrive are mixed, and nothing else depends on them.
    Ok(unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), len) })
}

/// A column on its way in: borrowed from Python where it can be.
#[derive(Default)]
pub struct OwnedColumn {
    pub nulls: u64,
    pub validity: Vec<u8>,
    pub offsets: Vec<u8>,
    pub borrowed: Option<PyUntypedBuffer>,
    pub owned: Vec<u8>,
}

impl OwnedColumn {
    pub fn data(&self) -> PyResult<ColumnData<'_>> {
        let data = match &self.borrowed {
            Some(buffer) => bytes_of(buffer)?,
            None => &self.owned,
        };
        Ok(ColumnData { nulls: self.nulls, validity: &self.validity, offsets: &self.offsets, data })
    }

    /// Takes a column from a contiguous array, or from a list for text.
    pub fn from_python(
        kind: ColumnKind,
        values: &Bound<'_, PyAny>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let mut column = Self::default();
        match kind {
            ColumnKind::Text => column.take_text(values.cast::<PyList>()?)?,
            ColumnKind::Bool => {
                column.owned =
                    pack_bits(bytes_of(&PyUntypedBuffer::get(values)?)?, |byte| byte != 0);
            }
            _ => column.borrowed = Some(PyUntypedBuffer::get(values)?),
        }
        if let Some(mask) = mask {
            column.take_mask(bytes_of(&PyUntypedBuffer::get(mask)?)?);
        }
        Ok(column)
    }

    fn take_mask(&mut self, missing: &[u8]) {
        self.nulls = missing.iter().filter(|byte| **byte != 0).count() as u64;
        if self.nulls > 0 {
            self.validity = pack_bits(missing, |byte| byte == 0);
        }
    }

    fn take_text(&mut self, values: &Bound<'_, PyList>) -> PyResult<()> {
        self.offsets.extend_from_slice(&0i32.to_le_bytes());
        let mut missing = Vec::with_capacity(values.len());
        for value in values.iter() {
            missing.push(u8::from(value.is_none()));
            if !value.is_none() {
                self.owned.extend_from_slice(value.cast::<PyString>()?.to_str()?.as_bytes());
            }
            let end = i32::try_from(self.owned.len());
            let end =
                end.map_err(|_| InvalidError::new_err("more than 2 GiB of text in a record"))?;
            self.offsets.extend_from_slice(&end.to_le_bytes());
        }
        self.take_mask(&missing);
        Ok(())
    }

    /// Takes one value, or its absence.
    pub fn from_value(kind: ColumnKind, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut column = Self::default();
        if let ColumnKind::Text = kind {
            let list = PyList::new(value.py(), [value])?;
            column.take_text(&list)?;
            return Ok(column);
        }
        column.owned = vec![0; kind.row_bytes().unwrap_or(1)];
        if value.is_none() {
            column.take_mask(&[1]);
            fill_missing(kind, &mut column.owned);
        } else {
            put_value(kind, value, &mut column.owned)?;
        }
        Ok(column)
    }
}

fn pack_bits(bytes: &[u8], is_set: impl Fn(u8) -> bool) -> Vec<u8> {
    let pack = |chunk: &[u8]| {
        let bits = chunk.iter().enumerate();
        bits.fold(0, |sum, (bit, byte)| sum | (u8::from(is_set(*byte)) << bit))
    };
    bytes.chunks(8).map(pack).collect()
}

/// A missing number is stored as NaN where there is one, so that nobody takes it for a value.
fn fill_missing(kind: ColumnKind, place: &mut [u8]) {
    match kind {
        ColumnKind::Number(Primitive::Float32) => place.copy_from_slice(&f32::NAN.to_le_bytes()),
        ColumnKind::Number(Primitive::Float64) => place.copy_from_slice(&f64::NAN.to_le_bytes()),
        _ => {}
    }
}

macro_rules! put_integer {
    ($type:ty, $value:expr, $place:expr) => {{
        let number: $type = $value.extract()?;
        $place[..size_of::<$type>()].copy_from_slice(&number.to_le_bytes());
    }};
}

fn put_float32(value: &Bound<'_, PyAny>, place: &mut [u8]) -> PyResult<()> {
    let wide: f64 = value.extract()?;
    let narrow = wide as f32;
    if wide.is_finite() && !narrow.is_finite() {
        return Err(InvalidError::new_err(format!("{wide:e} does not fit into a float32")));
    }
    place[..4].copy_from_slice(&narrow.to_le_bytes());
    Ok(())
}

fn put_bool(value: &Bound<'_, PyAny>, place: &mut [u8]) -> PyResult<()> {
    place[0] = u8::from(value.extract::<bool>()?);
    Ok(())
}

/// Writes one value in its column's form.
#[inline(always)]
pub fn put_value(kind: ColumnKind, value: &Bound<'_, PyAny>, place: &mut [u8]) -> PyResult<()> {
    // By far the most: worth a way past the look for what it is.
    if let ColumnKind::Number(Primitive::Float64) = kind
        && let Ok(float) = value.cast_exact::<PyFloat>()
    {
        place[..8].copy_from_slice(&float.value().to_le_bytes());
        return Ok(());
    }
    put_any(kind, value, place)
}

fn put_any(kind: ColumnKind, value: &Bound<'_, PyAny>, place: &mut [u8]) -> PyResult<()> {
    let primitive = match kind {
        ColumnKind::Number(primitive) => primitive,
        ColumnKind::Bool => return put_bool(value, place),
        ColumnKind::Time => Primitive::Int64,
        ColumnKind::Text | ColumnKind::List(..) => {
            return Err(InvalidError::new_err("the column does not hold single numbers"));
        }
    };
    match primitive {
        Primitive::Int8 => put_integer!(i8, value, place),
        Primitive::Int16 => put_integer!(i16, value, place),
        Primitive::Int32 => put_integer!(i32, value, place),
        Primitive::Int64 => put_integer!(i64, value, place),
        Primitive::Uint8 => put_integer!(u8, value, place),
        Primitive::Uint16 => put_integer!(u16, value, place),
        Primitive::Uint32 => put_integer!(u32, value, place),
        Primitive::Uint64 => put_integer!(u64, value, place),
        Primitive::Float32 => return put_float32(value, place),
        Primitive::Float64 => put_integer!(f64, value, place),
    }
    Ok(())
}

fn format_of(primitive: Primitive) -> &'static [&'static str] {
    match primitive {
        Primitive::Int8 => &["b"],
        Primitive::Int16 => &["h"],
        Primitive::Int32 => &["i"],
        Primitive::Int64 => &["l", "q"],
        Primitive::Uint8 => &["B"],
        Primitive::Uint16 => &["H"],
        Primitive::Uint32 => &["I"],
        Primitive::Uint64 => &["L", "Q"],
        Primitive::Float32 => &["f"],
        Primitive::Float64 => &["d"],
    }
}

/// Whether an array is exactly a block of such a column: type, shape and order.
pub fn is_block(buffer: &PyUntypedBuffer, kind: ColumnKind) -> bool {
    let ColumnKind::List(primitive, len) = kind else {
        return false;
    };
    let format = buffer.format().to_str().unwrap_or_default();
    buffer.is_c_contiguous()
        && buffer.item_size() == primitive.width()
        && format_of(primitive).contains(&format)
        && matches!(buffer.shape(), [rows, width] if *rows > 0 && *width == len)
}
