//! Record batches: layout, validation, building, compression.
