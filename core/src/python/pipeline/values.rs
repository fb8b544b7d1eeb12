//! Parameters from Python.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::callable::Callable;
use crate::error::RingError;
use crate::pipeline::kernels::Isa;
use crate::pipeline::spec::{Parameters, build};
use crate::pipeline::stage::{Stage, Value};
use crate::pipeline::stages::Native;
use crate::python::errors::InvalidError;

/// A number, a word, or numbers, nested as they may be.
pub fn value_of(found: &Bound<'_, PyAny>) -> PyResult<Value> {
    if found.is_instance_of::<PyString>() {
        return Ok(Value::Text(found.extract()?));
    }
    if let Ok(number) = found.extract::<f64>() {
        return Ok(Value::Number(number));
    }
    if let Ok(numbers) = found.extract::<Vec<f64>>() {
        return Ok(Value::Numbers(numbers));
    }
    let rows: Vec<Vec<f64>> = found.extract().map_err(|_| {
        InvalidError::new_err(format!("a number, a word or numbers are wanted; found {found:?}"))
    })?;
    Ok(Value::Numbers(rows.concat()))
}

fn parameters_of(found: &Bound<'_, PyDict>) -> PyResult<Parameters> {
    let pairs = found.iter().map(|(name, value)| {
        let name: String = name.extract()?;
        let value = value_of(&value)
            .map_err(|e| InvalidError::new_err(format!("{name:?}: {}", e.value(found.py()))))?;
        Ok((name, value))
    });
    pairs.collect()
}

/// A stage of the core, a compiled function, or a Python callable.
pub fn stage_of(kind: &str, found: &Bound<'_, PyDict>, isa: Isa) -> PyResult<Box<dyn Stage>> {
    match kind {
        "native" => native(found),
        "python" => Ok(Box::new(Callable::from_parameters(found)?)),
        _ => Ok(build(kind, &parameters_of(found)?, isa)?),
    }
}

fn numbers(found: &Bound<'_, PyDict>, name: &str) -> PyResult<Vec<f64>> {
    match found.get_item(name)? {
        None => Ok(Vec::new()),
        Some(value) => match value_of(&value)? {
            Value::Numbers(numbers) => Ok(numbers),
            Value::Number(number) => Ok(vec![number]),
            Value::Text(_) => Err(InvalidError::new_err(format!("{name:?} must be numbers"))),
        },
    }
}

pub fn flag(found: &Bound<'_, PyDict>, name: &str) -> PyResult<bool> {
    found.get_item(name)?.map_or(Ok(false), |value| value.extract())
}

fn native(found: &Bound<'_, PyDict>) -> PyResult<Box<dyn Stage>> {
    let address = found.get_item("address")?;
    let address: usize = address.map_or(Ok(0), |address| address.extract())?;
    let keep: Option<Py<PyAny>> = found.get_item("keep")?.map(Bound::unbind);
    let (parameters, state) = (numbers(found, "parameters")?, numbers(found, "state")?);
    // SAFETY: the documentation hands this contract to whoever gives an address.
    let made: Result<Native, RingError> = unsafe {
        Native::new(address, parameters, state, flag(found, "in_place")?, Box::new(keep))
    };
    Ok(Box::new(made?))
}
