//! Heads of origins' answers, judged.

use super::*;

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn json(status: u16, pairs: &[(&'static str, &'static str)]) -> Result<Verdict, Error> {
    judge(ContentKind::Json, &Method::POST, StatusCode::from_u16(status).unwrap(), &fields(pairs))
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn json_in_utf8_is_judged_further() {
    for content_type in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/json;",
        "application/hal+json; profile=\"x\"",
        "application/geo+json",
    ] {
        assert_eq!(json(200, &[("content-type", content_type)]), Ok(Verdict::Content), "{content_type}");
    }
    for content_type in [
        "text/html",
        "text/json",
        "application/jsonp",
        "application/x-ndjson",
        "application/json-seq",
        "application/json; charset=gbk",
        "application/json; charset=utf-8; charset=gbk",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json, text/html",
        "application/json/x",
        "application/+json",
        "json",
        "",
    ] {
        assert_eq!(json(200, &[("content-type", content_type)]), Err(Error::Type(ContentKind::Json)), "{content_type}");
    }
    assert_eq!(json(200, &[]), Err(Error::Untyped));
}

#[test]
fn lines_and_rows_have_types_of_their_own() {
    let judged = |kind, content_type: &'static str| judge(kind, &Method::GET, StatusCode::OK, &fields(&[("content-type", content_type)]));
    for content_type in ["application/x-ndjson", "application/ndjson; charset=utf-8", "application/jsonl", "application/x-jsonlines"] {
        assert_eq!(judged(ContentKind::Ndjson, content_type), Ok(Verdict::Content), "{content_type}");
    }
    for content_type in ["text/csv", "text/csv; charset=UTF-8; header=present", "Text/CSV;charset=us-ascii", "application/csv"] {
        assert_eq!(judged(ContentKind::Csv, content_type), Ok(Verdict::Content), "{content_type}");
    }
    for (kind, content_type) in [
        (ContentKind::Ndjson, "application/json"),
        (ContentKind::Ndjson, "text/csv"),
        (ContentKind::Ndjson, "application/x-ndjson; charset=gbk"),
        (ContentKind::Csv, "text/plain"),
        (ContentKind::Csv, "text/csv; charset=gb18030"),
        (ContentKind::Csv, "application/json"),
    ] {
        assert_eq!(judged(kind, content_type), Err(Error::Type(kind)), "{content_type}");
        assert_eq!(judge(kind, &Method::GET, StatusCode::OK, &fields(&[])), Err(Error::Untyped));
    }
}

#[test]
fn a_part_is_refused() {
    assert_eq!(json(206, &[JSON]), Err(Error::Status(StatusCode::PARTIAL_CONTENT)));
    assert_eq!(json(200, &[JSON, ("content-range", "bytes 0-1/9")]), Err(Error::Part));
}

#[test]
fn odd_statuses_are_refused() {
    for status in [100, 101, 103, 199, 206, 207, 208, 226, 299, 300, 301, 302, 303, 304, 307, 308] {
        assert!(matches!(json(status, &[JSON]), Err(Error::Status(_))), "{status}");
    }
}

#[test]
fn an_origins_own_refusal_keeps_its_status_and_loses_its_content() {
    for status in [400, 401, 404, 429, 451, 500, 503, 599] {
        assert_eq!(json(status, &[]), Ok(Verdict::Refused), "{status}");
        assert_eq!(json(status, &[("content-encoding", "br"), JSON]), Ok(Verdict::Refused), "{status}");
    }
}

#[test]
fn unknown_codings_are_refused() {
    for coding in ["gzip", "br", "deflate", "zstd", "identity, gzip", "x", ""] {
        assert_eq!(json(200, &[JSON, ("content-encoding", coding)]), Err(Error::Encoding), "{coding}");
    }
    assert_eq!(json(200, &[JSON, ("content-encoding", "Identity")]), Ok(Verdict::Content));
    let opaque = judge(ContentKind::Opaque, &Method::GET, StatusCode::OK, &fields(&[("content-encoding", "gzip")]));
    assert_eq!(opaque, Err(Error::Encoding));
}

#[test]
fn contradicting_fields_are_refused() {
    let two = |name, a, b| {
        let mut fields = fields(&[JSON]);
        fields.append(HeaderName::from_static(name), HeaderValue::from_static(a));
        fields.append(HeaderName::from_static(name), HeaderValue::from_static(b));
        judge(ContentKind::Json, &Method::GET, StatusCode::OK, &fields)
    };
    assert_eq!(two("content-encoding", "identity", "gzip"), Err(Error::Field("content-encoding")));
    assert_eq!(two("content-length", "1", "2"), Err(Error::Field("content-length")));
    assert_eq!(two("content-type", "application/json", "text/html"), Err(Error::Field("content-type")));
    let mut latin = fields(&[]);
    latin.insert(CONTENT_TYPE, HeaderValue::from_bytes(b"application/json\xff").unwrap());
    assert_eq!(judge(ContentKind::Json, &Method::GET, StatusCode::OK, &latin), Err(Error::Field("content-type")));
}

#[test]
fn answers_without_content_need_no_type() {
    assert_eq!(json(204, &[]), Ok(Verdict::Empty));
    assert_eq!(json(205, &[]), Ok(Verdict::Empty));
    assert_eq!(judge(ContentKind::Json, &Method::HEAD, StatusCode::OK, &fields(&[])), Ok(Verdict::Empty));
    assert_eq!(judge(ContentKind::Opaque, &Method::GET, StatusCode::OK, &fields(&[])), Ok(Verdict::Content));
    assert_eq!(judge(ContentKind::Opaque, &Method::GET, StatusCode::OK, &fields(&[("content-type", "image/png")])), Ok(Verdict::Content));
}

#[test]
fn errors_hold_nothing_of_the_answer() {
    let canary = "application/x-110101199001011234";
    let error = json(200, &[("content-type", canary)]).unwrap_err();
    for text in [error.to_string(), format!("{error:?}"), error.public().zh, error.public().en] {
        assert!(!text.contains("110101"), "{text}");
    }
}
