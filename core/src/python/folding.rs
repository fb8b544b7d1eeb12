//! The least and the greatest of many rows of an array.
#![allow(unsafe_code, reason = "numbers are looked at as bytes and the other way round")]

use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::columns::bytes_of;
use super::errors::InvalidError;
use crate::arrow::Primitive;
use crate::fold::{Ordered, fold};

type Extremes<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// The numbers of an array, as they lie.
fn numbers_of<T: Ordered>(bytes: &[u8]) -> PyResult<&[T]> {
    // SAFETY: only the ten types of `fold_rows` come here; any bits are a number of each of them.
    let (before, numbers, after) = unsafe { bytes.align_to::<T>() };
    if before.is_empty() && after.is_empty() {
        return Ok(numbers);
    }
    Err(InvalidError::new_err("an array must be aligned, and whole numbers long"))
}

fn bytes_from<'py, T: Ordered>(py: Python<'py>, numbers: &[T]) -> Bound<'py, PyBytes> {
    // SAFETY: plain numbers have no padding, so each of their bytes is one; the slice spans them.
    let bytes =
        unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast::<u8>(), size_of_val(numbers)) };
    PyBytes::new(py, bytes)
}

fn folded<'py, T: Ordered + Send + Sync>(
    py: Python<'py>,
    bytes: &[u8],
    width: usize,
    bin_rows: usize,
) -> PyResult<Extremes<'py>> {
    let numbers = numbers_of::<T>(bytes)?;
    let (low, high) = py.detach(|| fold(numbers, width, bin_rows));
    Ok((bytes_from(py, &low), bytes_from(py, &high)))
}

/// The least and the greatest of every `bin_rows` rows of a contiguous array [rows, width].
#[pyfunction]
pub fn fold_rows<'py>(
    py: Python<'py>,
    values: &Bound<'py, PyAny>,
    dtype: &str,
    width: usize,
    bin_rows: usize,
) -> PyResult<Extremes<'py>> {
    let buffer = PyUntypedBuffer::get(values)?;
    let bytes = bytes_of(&buffer)?;
    let Some(primitive) = Primitive::from_name(dtype) else {
        return Err(InvalidError::new_err(format!(
            "{dtype:?} is no type of numbers with an order"
        )));
    };
    match primitive {
        Primitive::Int8 => folded::<i8>(py, bytes, width, bin_rows),
        Primitive::Int16 => folded::<i16>(py, bytes, width, bin_rows),
        Primitive::Int32 => folded::<i32>(py, bytes, width, bin_rows),
        Primitive::Int64 => folded::<i64>(py, bytes, width, bin_rows),
        Primitive::Uint8 => folded::<u8>(py, bytes, width, bin_rows),
        Primitive::Uint16 => folded::<u16>(py, bytes, width, bin_rows),
        Primitive::Uint32 => folded::<u32>(py, bytes, width, bin_rows),
        Primitive::Uint64 => folded::<u64>(py, bytes, width, bin_rows),
        Primitive::Float32 => folded::<f32>(py, bytes, width, bin_rows),
        Primitive::Float64 => folded::<f64>(py, bytes, width, bin_rows),
    }
}
