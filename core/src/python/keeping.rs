//! What the recorder asks for: checksums as fast as memory, and a disk that begins early.
#![allow(unsafe_code, reason = "the system's own call")]

use std::fs::File;
use std::io::{self, Write};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{FromRawFd, RawFd};

use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;

use pyo3::types::PyBytes;

use super::LONG_COPY;
use super::columns::bytes_of;

const ENTRY_ALIGNMENT: usize = 8;
const CHECKSUM_BYTES: usize = 4;

fn checksum(bytes: &[u8], begun: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(begun);
    hasher.update(bytes);
    hasher.finalize()
}

/// The CRC-32 of zlib over contiguous bytes, begun with that of the bytes before.
#[pyfunction]
#[pyo3(signature = (data, begun = 0))]
pub fn crc32(py: Python<'_>, data: &Bound<'_, PyAny>, begun: u32) -> PyResult<u32> {
    let buffer = PyUntypedBuffer::get(data)?;
    let bytes = bytes_of(&buffer)?;
    if bytes.len() < LONG_COPY {
        return Ok(checksum(bytes, begun));
    }
    Ok(py.detach(|| checksum(bytes, begun)))
}

/// An entry of a journal in one piece: head, checksum of all else, parts, zeros up to the alignment.
#[pyfunction]
pub fn seal_entry<'py>(
    py: Python<'py>,
    head: &Bound<'py, PyAny>,
    parts: Vec<Bound<'py, PyAny>>,
    begun: u32,
) -> PyResult<Bound<'py, PyBytes>> {
    let head = PyUntypedBuffer::get(head)?;
    let buffers: Vec<_> = parts.iter().map(PyUntypedBuffer::get).collect::<PyResult<_>>()?;
    let parts: Vec<&[u8]> = buffers.iter().map(bytes_of).collect::<PyResult<_>>()?;
    let body = parts.iter().map(|part| part.len()).sum::<usize>().next_multiple_of(ENTRY_ALIGNMENT);
    let begin = head.len_bytes() + CHECKSUM_BYTES;
    PyBytes::new_with(py, begin + body, |bytes| {
        let (front, mut rest) = bytes.split_at_mut(begin);
        front[..begin - CHECKSUM_BYTES].copy_from_slice(bytes_of(&head)?);
        for part in parts {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        let crc = checksum(&bytes[begin..], checksum(bytes_of(&head)?, begun));
        bytes[begin - CHECKSUM_BYTES..begin].copy_from_slice(&crc.to_le_bytes());
        Ok(())
    })
}

/// What the kernel says of an open file: whether it has a name, and the bytes left beside it.
fn room_of(fd: RawFd) -> io::Result<(bool, u64)> {
    let mut file = MaybeUninit::<libc::stat>::uninit();
    let mut disk = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: both calls write one whole structure at the place they are given, or fail.
    let told = unsafe {
        libc::fstat(fd, file.as_mut_ptr()) == 0 && libc::fstatvfs(fd, disk.as_mut_ptr()) == 0
    };
    if !told {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both calls succeeded, so both structures are filled.
    let (file, disk) = unsafe { (file.assume_init(), disk.assume_init()) };
    Ok((file.st_nlink > 0, disk.f_bavail * disk.f_frsize))
}

/// Writes all bytes at the file's place and returns when they are on the medium.
fn write_durably(fd: RawFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed for this call, and whoever lent it keeps it open; it is not
    // closed here, as `ManuallyDrop` never drops it.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    file.write_all(bytes)?;
    file.sync_data()
}

/// Appends to a file that has a name and leaves `spare` bytes free; returns what `room_of` found.
#[pyfunction]
pub fn append_durably(
    py: Python<'_>,
    fd: RawFd,
    data: &Bound<'_, PyAny>,
    spare: u64,
) -> PyResult<(bool, u64)> {
    let buffer = PyUntypedBuffer::get(data)?;
    let bytes = bytes_of(&buffer)?;
    let append = || {
        let (named, free) = room_of(fd)?;
        if named && free >= bytes.len() as u64 + spare {
            write_durably(fd, bytes)?;
        }
        io::Result::Ok((named, free))
    };
    Ok(py.detach(append)?)
}

/// Lets the kernel begin to write a file's dirty pages; waits for none of them.
#[pyfunction]
pub fn start_writeback(py: Python<'_>, fd: RawFd) -> PyResult<()> {
    let begin = || {
        // SAFETY: the call takes plain numbers and touches no memory of ours; a descriptor that is
        // none is an error that it returns.
        match unsafe { libc::sync_file_range(fd, 0, 0, libc::SYNC_FILE_RANGE_WRITE) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    Ok(py.detach(begin)?)
}
