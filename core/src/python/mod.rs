//! The Python face: each function converts, lets go of the interpreter, calls, converts back.
//!
//! One of the places with `unsafe`.
#![allow(unsafe_code, missing_debug_implementations, reason = "Python has its own repr")]

mod appender;
mod buffer;
mod columns;
mod copied;
mod errors;
mod exhaustion;
mod export;
mod folding;
mod handed;
mod keeping;
mod loan;
mod looking;
mod mapping;
mod pipeline;
mod reader;
mod rhai;
mod rows;
mod schema;
mod shared;
mod values;
mod viewer;
mod walk;
mod watch;
mod writer;

use std::path::PathBuf;

use pyo3::prelude::*;

/// Copies longer than this let other Python threads run meanwhile.
const LONG_COPY: usize = 64 << 10;

/// Whether a living process holds the owner's lock of a ring, damaged or not.
#[pyfunction]
fn is_owned(path: PathBuf) -> PyResult<bool> {
    Ok(crate::region::is_owned(&path)?)
}

/// The Rust core of ringdaq.
#[pymodule]
fn ringdaq_core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::register(module)?;
    rhai::register(module)?;
    pipeline::register(module)?;
    module.add_class::<schema::PySchema>()?;
    module.add_class::<writer::PyRingWriter>()?;
    module.add_class::<reader::PyRingReader>()?;
    module.add_class::<reader::PyLocated>()?;
    module.add_class::<copied::PyCopied>()?;
    module.add_class::<appender::PyAppender>()?;
    module.add_class::<rows::PyRows>()?;
    module.add_class::<loan::PyLoan>()?;
    module.add_class::<walk::PyWalk>()?;
    module.add_class::<viewer::PyViewer>()?;
    module.add_class::<watch::PyWatch>()?;
    module.add_class::<watch::PySleeper>()?;
    module.add_function(wrap_pyfunction!(is_owned, module)?)?;
    module.add_function(wrap_pyfunction!(looking::receive_soon, module)?)?;
    module.add_function(wrap_pyfunction!(folding::fold_rows, module)?)?;
    module.add_function(wrap_pyfunction!(keeping::append_durably, module)?)?;
    module.add_function(wrap_pyfunction!(keeping::crc32, module)?)?;
    module.add_function(wrap_pyfunction!(keeping::seal_entry, module)?)?;
    module.add_function(wrap_pyfunction!(keeping::start_writeback, module)?)?;
    module.add("LAYOUT_VERSION", crate::layout::LAYOUT_VERSION)?;
    module.add("HEADER_SIZE", crate::layout::HEADER_SIZE)
}
