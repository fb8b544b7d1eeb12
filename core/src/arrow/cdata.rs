//! A record in the Arrow C data interface, made for speed: one small object, no type, no copy.
//!
//! Numbers stay in the ring. What other bytes are found by, or what is trusted once it was checked, is
//! copied, as in `export`.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use super::decode::{Batch, Place};
use super::schema::{ColumnKind, Schema};
use crate::region::Region;

/// `struct ArrowArray` of the specification.
#[repr(C)]
#[derive(Debug)]
pub struct ArrowArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *mut *const c_void,
    children: *mut *mut ArrowArray,
    dictionary: *mut ArrowArray,
    release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    private_data: *mut c_void,
}

/// What an array and its children refer to; it goes with the last of them.
struct Owned {
    _region: Arc<Region>,
    /// Copies of what must not change.
    copies: Vec<Box<[u8]>>,
    buffers: Vec<*const c_void>,
    children: Vec<*mut ArrowArray>,
    arrays: Vec<ArrowArray>,
}

// SAFETY: nothing changes after the export, and the pointers lead into the region or into memory
// that is owned here.
unsafe impl Send for Owned {}
// SAFETY: as above.
unsafe impl Sync for Owned {}

unsafe extern "C" fn release(array: *mut ArrowArray) {
    // SAFETY: the consumer gives back what it was given, once: all pointers are those of `export`.
    unsafe {
        let array = &mut *array;
        for index in 0..array.n_children {
            let child = *array.children.add(index as usize);
            if let Some(release) = (*child).release {
                release(child);
            }
        }
        array.release = None;
        drop(Arc::from_raw(array.private_data.cast_const().cast::<Owned>()));
    }
}

impl Drop for ArrowArray {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: nobody took the array, so it is still ours to release.
            unsafe { release(self) };
        }
    }
}

impl ArrowArray {
    fn new(length: u64, nulls: u64) -> Self {
        Self {
            length: length as i64,
            null_count: nulls as i64,
            offset: 0,
            n_buffers: 0,
            n_children: 0,
            buffers: ptr::null_mut(),
            children: ptr::null_mut(),
            dictionary: ptr::null_mut(),
            release: None,
            private_data: ptr::null_mut(),
        }
    }
}

/// How many arrays below the record, and buffers in all of them, a schema has.
fn counts(schema: &Schema) -> (usize, usize) {
    schema.columns().iter().fold((0, 1), |(arrays, buffers), column| match column.kind {
        ColumnKind::List(..) => (arrays + 2, buffers + 3),
        ColumnKind::Text => (arrays + 1, buffers + 3),
        _ => (arrays + 1, buffers + 2),
    })
}

struct Builder {
    owned: Owned,
    payload: *const u8,
}

impl Builder {
    fn in_place(&self, place: Place) -> *const c_void {
        // SAFETY: `Batch` has checked that the place lies in the payload.
        unsafe { self.payload.add(place.at).cast() }
    }

    fn copied(&mut self, place: Place) -> *const c_void {
        if place.len == 0 {
            return ptr::null();
        }
        let mut copy = vec![0u8; place.len];
        // SAFETY: as in `in_place`; the bytes may change meanwhile, and nothing believes them before
        // the caller's check.
        unsafe {
            ptr::copy_nonoverlapping(self.payload.add(place.at), copy.as_mut_ptr(), place.len)
        };
        let copy = copy.into_boxed_slice();
        let start = copy.as_ptr().cast();
        self.owned.copies.push(copy);
        start
    }

    /// Adds an array whose buffers were just added, `count` of them.
    fn array(&mut self, mut array: ArrowArray, count: usize) {
        array.n_buffers = count as i64;
        let first = self.owned.buffers.len() - count;
        // SAFETY: the vector has room for all buffers, so it never moves.
        array.buffers = unsafe { self.owned.buffers.as_mut_ptr().add(first) };
        self.owned.arrays.push(array);
    }
}

/// The record as a struct array without a parent; its numbers lie in the region.
///
/// `payload_at` is the payload's offset in the region, in which `batch` was found.
pub fn export(
    schema: &Schema,
    batch: &Batch,
    region: &Arc<Region>,
    payload_at: usize,
) -> ArrowArray {
    let (arrays, buffers) = counts(schema);
    let owned = Owned {
        _region: Arc::clone(region),
        copies: Vec::new(),
        buffers: Vec::with_capacity(buffers),
        children: Vec::with_capacity(arrays),
        arrays: Vec::with_capacity(arrays),
    };
    // SAFETY: the payload lies in the mapping.
    let mut builder = Builder { owned, payload: unsafe { region.address().add(payload_at) } };
    for (column, found) in schema.columns().iter().zip(&batch.columns) {
        let validity = builder.copied(found.validity);
        builder.owned.buffers.push(validity);
        let array = ArrowArray::new(batch.rows, found.nulls);
        match column.kind {
            ColumnKind::List(_, len) => {
                builder.array(array, 1);
                let data = builder.in_place(found.data);
                builder.owned.buffers.extend([ptr::null(), data]);
                builder.array(ArrowArray::new(batch.rows * len as u64, 0), 2);
            }
            ColumnKind::Text => {
                let (offsets, data) = (builder.copied(found.offsets), builder.copied(found.data));
                builder.owned.buffers.extend([offsets, data]);
                builder.array(array, 3);
            }
            _ => {
                let data = builder.in_place(found.data);
                builder.owned.buffers.push(data);
                builder.array(array, 2);
            }
        }
    }
    join(schema, batch.rows, builder.owned)
}

/// Ties children to parents, and everything to what it refers to.
fn join(schema: &Schema, rows: u64, mut owned: Owned) -> ArrowArray {
    owned.buffers.push(ptr::null());
    let buffers = owned.buffers.as_mut_ptr();
    let last = owned.buffers.len() - 1;
    let arrays = owned.arrays.as_mut_ptr();
    let mut at = 0;
    let mut items = Vec::new();
    for column in schema.columns() {
        // SAFETY: `at` stays below the number of arrays, which `export` has counted the same way.
        owned.children.push(unsafe { arrays.add(at) });
        at += 1;
        if let ColumnKind::List(..) = column.kind {
            items.push((at - 1, at));
            at += 1;
        }
    }
    let columns = owned.children.len();
    for (list, item) in items {
        // SAFETY: as above; the vector has room for a pointer to each array, so it never moves.
        unsafe {
            owned.children.push(arrays.add(item));
            (*arrays.add(list)).n_children = 1;
            (*arrays.add(list)).children =
                owned.children.as_mut_ptr().add(owned.children.len() - 1);
        }
    }
    let (children, count) = (owned.children.as_mut_ptr(), owned.arrays.len());
    let owned = Arc::new(owned);
    for index in 0..count {
        // SAFETY: nobody else has seen the arrays yet; they lie on the heap and do not move.
        let array = unsafe { &mut *arrays.add(index) };
        array.release = Some(release);
        array.private_data = Arc::into_raw(Arc::clone(&owned)).cast_mut().cast();
    }
    let mut root = ArrowArray::new(rows, 0);
    root.n_buffers = 1;
    // SAFETY: the last buffer was pushed above.
    root.buffers = unsafe { buffers.add(last) };
    root.n_children = columns as i64;
    root.children = children;
    root.release = Some(release);
    root.private_data = Arc::into_raw(owned).cast_mut().cast();
    root
}
