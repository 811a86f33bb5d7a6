//! `[gateway.limits]`: sizes, times and counts that no call goes beyond. Every one has a safe default.

use std::time::Duration;

use crate::lang::Text;
use crate::written::Table;
use crate::written::units::{duration, size};

/// All limits of the gateway's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all header fields together.
    pub header_size: u64,
    /// Number of header fields.
    pub header_fields: usize,
    /// Bytes of the request target.
    pub target_size: u64,
    /// Bytes of a request's content that is streamed on.
    pub content_size: u64,
    /// Bytes of a request's content that is read for the person it names.
    pub subject_content_size: u64,
    /// Time for the TLS handshake.
    pub tls_handshake: Duration,
    /// Time for a request's head, also while a connection is kept open.
    pub header_timeout: Duration,
    /// Time between two pieces of a request's content.
    pub content_timeout: Duration,
    /// Time that a caller may take none of the answer.
    pub write_timeout: Duration,
    /// Time for which a gateway that was told to stop says so, and still takes calls.
    pub notice: Duration,
    /// Time for calls in flight when the gateway stops.
    pub drain: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// HTTP/2 streams at a time in a connection.
    pub streams: u32,
    /// Calls at a time.
    pub in_flight: i64,
    /// Bytes read on after the caller of an unsafe call went away, so that the origin can finish.
    pub drain_size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_size: 32 << 10,
            header_fields: 100,
            target_size: 8 << 10,
            content_size: 16 << 20,
            subject_content_size: 64 << 10,
            tls_handshake: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            content_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            notice: Duration::ZERO,
            drain: Duration::from_secs(30),
            connections: 10_000,
            streams: 128,
            in_flight: 4_096,
            drain_size: 16 << 20,
        }
    }
}

impl Limits {
    /// Reads `[gateway.limits]`; all of it may be left out.
    pub fn read(table: Option<Table<'_, '_>>) -> Option<Self> {
        let mut limits = Self::default();
        let Some(table) = table else { return Some(limits) };
        let some_bytes = |text: &str| size(text).and_then(|bytes| if bytes > 0 { Ok(bytes) } else { Err(nothing()) });
        let bytes = |key: &str, limit: &mut u64| *limit = table.opt_parsed(key, some_bytes).map_or(*limit, |size| size.value);
        bytes("header_size", &mut limits.header_size);
        bytes("target_size", &mut limits.target_size);
        bytes("content_size", &mut limits.content_size);
        bytes("subject_content_size", &mut limits.subject_content_size);
        bytes("drain_size", &mut limits.drain_size);
        let some_time = |text: &str| duration(text).and_then(|time| if time.is_zero() { Err(nothing()) } else { Ok(time) });
        let time = |key: &str, limit: &mut Duration| *limit = table.opt_parsed(key, some_time).map_or(*limit, |time| time.value);
        time("tls_handshake", &mut limits.tls_handshake);
        time("header_timeout", &mut limits.header_timeout);
        time("content_timeout", &mut limits.content_timeout);
        time("write_timeout", &mut limits.write_timeout);
        time("drain", &mut limits.drain);
        limits.notice = table.opt_parsed("notice", duration).map_or(limits.notice, |time| time.value);
        let count = |key: &str, most: i64| table.opt_integer(key, 1..=most);
        let whole = |number: Option<i64>, default: usize| number.and_then(|number| usize::try_from(number).ok()).unwrap_or(default);
        limits.header_fields = whole(count("header_fields", 1_000), limits.header_fields);
        limits.connections = whole(count("connections", 1_000_000), limits.connections);
        limits.in_flight = count("in_flight", 1_000_000).unwrap_or(limits.in_flight);
        limits.streams = count("streams", 10_000).and_then(|number| u32::try_from(number).ok()).unwrap_or(limits.streams);
        table.finish();
        Some(limits)
    }
}

fn nothing() -> Text {
    Text::new("应大于零", "it must be more than nothing")
}
