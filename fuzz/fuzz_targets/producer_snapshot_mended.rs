#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kring_storage::hostile::producer_snapshot_mended(bytes));
