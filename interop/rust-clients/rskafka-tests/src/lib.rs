//! Only tests live in this package.
