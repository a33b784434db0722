#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kring_storage::hostile::clean_start(bytes));
