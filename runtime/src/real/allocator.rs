//! How the C library's allocator treats memory that was freed.
#![allow(unsafe_code)]

/// Keeps freed memory for the next who needs some. A buffer of a mebibyte is freed and needed again a thousand times a
/// second; by default each one is a mapping of its own, whose pages the kernel clears and hands out one by one: a fifth
/// of the CPU time of a broker under large batches. What the environment says of the allocator holds.
#[cfg(target_env = "gnu")]
pub(crate) fn keep_freed_memory() {
    let settings = [
        // Larger pieces are given back when they are freed.
        ("MALLOC_MMAP_THRESHOLD_", libc::M_MMAP_THRESHOLD, 8 << 20),
        // So much free memory at the end of a shard's heap is kept.
        ("MALLOC_TRIM_THRESHOLD_", libc::M_TRIM_THRESHOLD, 32 << 20),
        // A heap grows by so much at once.
        ("MALLOC_TOP_PAD_", libc::M_TOP_PAD, 1 << 20),
    ];
    for (variable, setting, bytes) in settings {
        if std::env::var_os(variable).is_some() {
            continue;
        }
        // SAFETY: `mallopt` takes two numbers, locks what it changes, and refuses what it does not know.
        let taken = unsafe { libc::mallopt(setting, bytes) };
        if taken != 1 {
            tracing::debug!(setting, "the allocator does not take a setting");
        }
    }
}

/// The allocators of other C libraries have their own ways.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn keep_freed_memory() {}
