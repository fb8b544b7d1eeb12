//! Errors of the core as Python exceptions.

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError};
use pyo3::prelude::*;

use crate::error::RingError;

create_exception!(ringdaq_core, CoreError, PyException);
create_exception!(ringdaq_core, CorruptError, CoreError);
create_exception!(ringdaq_core, OverrunError, CoreError);
create_exception!(ringdaq_core, NotYetWrittenError, CoreError);
create_exception!(ringdaq_core, EndOfStreamError, CoreError);
create_exception!(ringdaq_core, WriterGoneError, CoreError);
create_exception!(ringdaq_core, NoSpaceError, CoreError);
create_exception!(ringdaq_core, InvalidError, CoreError);
create_exception!(ringdaq_core, ClosedError, CoreError);

impl From<RingError> for PyErr {
    #[cold]
    fn from(error: RingError) -> Self {
        let text = error.to_string();
        match error {
            RingError::Io(_, cause) => match cause.raw_os_error() {
                Some(code) => PyOSError::new_err((code, text)),
                None => PyOSError::new_err(text),
            },
            RingError::Corrupt(_) => CorruptError::new_err(text),
            RingError::Overrun { lost_records, lost_rows, resume_at } => {
                OverrunError::new_err((text, lost_records, lost_rows, resume_at))
            }
            RingError::NotYetWritten { .. } => NotYetWrittenError::new_err(text),
            RingError::EndOfStream => EndOfStreamError::new_err(text),
            RingError::WriterGone => WriterGoneError::new_err(text),
            RingError::Forked { .. } => ClosedError::new_err(text),
            RingError::NoSpace { needed, free } => NoSpaceError::new_err((text, needed, free)),
            RingError::TooLarge { record, capacity } => {
                NoSpaceError::new_err((text, record, capacity))
            }
            RingError::Invalid(_) => InvalidError::new_err(text),
        }
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("CoreError", py.get_type::<CoreError>())?;
    module.add("CorruptError", py.get_type::<CorruptError>())?;
    module.add("OverrunError", py.get_type::<OverrunError>())?;
    module.add("NotYetWrittenError", py.get_type::<NotYetWrittenError>())?;
    module.add("EndOfStreamError", py.get_type::<EndOfStreamError>())?;
    module.add("WriterGoneError", py.get_type::<WriterGoneError>())?;
    module.add("NoSpaceError", py.get_type::<NoSpaceError>())?;
    module.add("InvalidError", py.get_type::<InvalidError>())?;
    module.add("ClosedError", py.get_type::<ClosedError>())
}
