//! The fields of the contract, parsed once.

use hyper::header::HeaderName;

pub(super) static SHARE_DEPARTMENT: HeaderName = HeaderName::from_static("share-department");
pub(super) static SHARE_DISCLOSURE: HeaderName = HeaderName::from_static("share-disclosure");
pub(super) static SHARE_ID: HeaderName = HeaderName::from_static("share-id");
pub(super) static SHARE_PURPOSE: HeaderName = HeaderName::from_static("share-purpose");
pub(super) static SHARE_RECEIPT: HeaderName = HeaderName::from_static("share-receipt");
pub(super) static SHARE_REQUESTER: HeaderName = HeaderName::from_static("share-requester");
/// W3C Trace Context.
pub(super) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// RFC 7540 section 3.2.1.
pub(super) static HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
