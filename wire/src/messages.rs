//! Every message of Kafka 4.3: one module each, generated from `wire/schema` by `build.rs`.
//! Fields have Kafka's names in snake case, nullable ones are `Option`, tagged ones are like any other, and
//! `Default` gives Kafka's defaults.
// The generator keeps its output plain rather than idiomatic.
#![allow(clippy::field_reassign_with_default, clippy::nonminimal_bool)]

use crate::api::{ApiKey, ApiMessage, Request};
use crate::codec::{self, Ctx, Message, Reader, RecordMessage, Records, Wire, WireOption, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::{Str, Uuid};

include!(concat!(env!("OUT_DIR"), "/messages.rs"));
