#![no_main]

#[path = "../../wire/tests/record_support/hostile.rs"]
mod hostile;

use bytes::Bytes;
use kring_wire::record::Validator;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile::read_everything(&mut Validator::default(), &Bytes::copy_from_slice(bytes));
});
