//! How often this thread gave up its core, by the kernel's count.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// How often it did so by itself, to wait for something. Not how often it was made to.
pub(crate) fn voluntary() -> i64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel writes one `rusage` to the address, which is one; all its fields may be zero.
    let usage = unsafe {
        let code = libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        assert_eq!(code, 0, "the arguments are right");
        usage.assume_init()
    };
    usage.ru_nvcsw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_counted_and_work_is_not() {
        let before = voluntary();
        std::hint::black_box((0..1000_u64).map(std::hint::black_box).sum::<u64>());
        let worked = voluntary();
        std::thread::park_timeout(std::time::Duration::from_millis(1));
        assert_eq!(worked, before);
        assert!(voluntary() > worked);
    }
}
