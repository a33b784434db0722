//! Counts what a thread allocates, so that tests can hold decoding to its budget.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: usize) {
    // A thread that is ending has no counter any more, and no test that asks for it.
    let _ = ALLOCATED.try_with(|total| total.set(total.get() + bytes));
}

#[allow(unsafe_code)]
// SAFETY: every call goes to the system allocator unchanged; counting does not allocate, as the thread-local
// is initialised at compile time and needs no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are those of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those of `System.dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes that `work` allocated on this thread, freed or not.
pub fn allocated_by<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED.get();
    let result = work();
    (ALLOCATED.get() - before, result)
}

#[test]
fn the_counter_sees_vectors() {
    let (bytes, vector) = allocated_by(|| Vec::<u64>::with_capacity(100));
    assert_eq!((bytes, vector.capacity()), (800, 100));
}
