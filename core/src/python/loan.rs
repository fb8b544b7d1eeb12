//! A record that is filled where it will lie.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::columns::put_value;
use super::errors::InvalidError;
use super::shared::{Inner, Shared, blame, closed};
use crate::arrow::{Column, ColumnKind, Open, Schema};
use crate::region::Region;

/// Room for one record; its bulk is a writable buffer until it is committed or given back.
#[pyclass(name = "Loan", module = "ringdaq_core", frozen)]
pub struct PyLoan {
    shared: Arc<Shared>,
    schema: Arc<Schema>,
    region: Arc<Region>,
    rows: u64,
    open: Mutex<Option<Open>>,
}

fn is_bulk(column: &Column) -> bool {
    matches!(column.kind, ColumnKind::List(..))
}

impl PyLoan {
    pub fn new(
        py: Python<'_>,
        shared: &Arc<Shared>,
        schema: &Arc<Schema>,
        rows: u64,
    ) -> PyResult<Self> {
        if rows == 0 || schema.columns().iter().filter(|column| is_bulk(column)).count() != 1 {
            let text = "only frames, and blocks of at least one row, can be filled in place";
            return Err(InvalidError::new_err(text));
        }
        let mut inner = shared.lock(py)?;
        let (ring, encoder) = inner.ready()?;
        let open = encoder.open(ring, rows)?;
        let region = Arc::clone(ring.region());
        inner.loaned = true;
        drop(inner);
        let (shared, schema) = (Arc::clone(shared), Arc::clone(schema));
        Ok(Self { shared, schema, region, rows, open: Mutex::new(Some(open)) })
    }

    fn room(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the bulk lies in the mapping; nowhere in a fork.
    fn bulk(&self) -> Option<(usize, usize)> {
        self.shared.maker.check().ok()?;
        let room = self.room();
        let open = room.as_ref()?;
        let index = self.schema.columns().iter().position(is_bulk)?;
        let (at, len) = open.places[index];
        Some((open.slot.payload_at() + at, len))
    }

    fn fill(
        &self,
        py: Python<'_>,
        inner: &Inner,
        open: &Open,
        first_nanos: i64,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<()> {
        let ring = inner.ring.as_ref().ok_or_else(closed)?;
        let mut values = values.iter_borrowed();
        for (column, (at, len)) in self.schema.columns().iter().zip(&open.places) {
            let mut bytes = [0; 8];
            match column.kind {
                ColumnKind::List(..) => continue,
                ColumnKind::Time => bytes = first_nanos.to_le_bytes(),
                kind => {
                    let value = values.next().ok_or_else(|| missing(column))?;
                    put_value(kind, &value, &mut bytes).map_err(|e| blame(py, column, &e))?;
                }
            }
            ring.fill(&open.slot, *at, &bytes[..*len])?;
        }
        match values.next() {
            None => Ok(()),
            Some(_) => Err(InvalidError::new_err("there are more values than channels")),
        }
    }
}

fn missing(column: &Column) -> PyErr {
    InvalidError::new_err(format!("channel {:?} needs a value", column.name))
}

#[pymethods]
impl PyLoan {
    fn commit(
        &self,
        py: Python<'_>,
        first_nanos: i64,
        last_nanos: i64,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<u64> {
        let mut inner = self.shared.lock(py)?;
        let mut room = self.room();
        let open = room.as_ref();
        let open = open.ok_or_else(|| InvalidError::new_err("this loan has ended"))?;
        self.fill(py, &inner, open, first_nanos, values)?;
        let ring = inner.ring.as_mut().ok_or_else(closed)?;
        let open = room.take().ok_or_else(closed)?;
        let sequence = ring.commit(open.slot, first_nanos, last_nanos, self.rows);
        inner.loaned = false;
        inner.encoder.take_back(open.places);
        Ok(sequence)
    }

    fn give_back(&self, py: Python<'_>) {
        // A fork has nothing to give back, and need not hear so when it leaves the context.
        if let Ok(mut inner) = self.shared.lock(py)
            && self.room().take().is_some()
        {
            inner.loaned = false;
        }
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let loan = slf.get();
        let Some((at, len)) = loan.bulk().filter(|_| !view.is_null()) else {
            return Err(PyBufferError::new_err("this loan has ended"));
        };
        let start = loan.region.address().cast_mut();
        // SAFETY: `view` is the caller's to fill. The bytes are the slot's own, which nobody reads
        // before the commit; whoever still writes them later makes a mixed record and nothing worse.
        // The mapping is writable and lives as long as `slf`, which the view keeps alive.
        let done = unsafe {
            let start = start.add(at).cast();
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, len as ffi::Py_ssize_t, 0, flags)
        };
        if done == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}

impl Drop for PyLoan {
    fn drop(&mut self) {
        let is_open = || self.room().take().is_some();
        if self.shared.maker.is_here()
            && is_open()
            && let Ok(mut inner) = self.shared.lock_detached()
        {
            inner.loaned = false;
        }
    }
}
