//! The departmental APIs: civil affairs, police, tax and statistics, each a real HTTP server that knows nothing of the
//! gateway. Their answers hold more than the catalogue lists, so that omission is seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::Trouble;
use super::http::{Answering, Asked, serve};
use super::people::{PEOPLE, tax};

/// What a department's API says to a call.
type Api = fn(&Asked) -> (StatusCode, Value);

/// One department's API.
struct Origin {
    port: u16,
    calls: Arc<AtomicU64>,
}

/// All of them, by the department's id.
pub(super) struct Origins(BTreeMap<&'static str, Origin>);

impl Origins {
    /// Where a provider's API listens.
    pub(super) fn port(&self, provider: &str) -> Option<u16> {
        self.0.get(provider).map(|origin| origin.port)
    }

    /// How often any of them was asked.
    pub(super) fn calls(&self) -> u64 {
        self.0.values().map(|origin| origin.calls.load(Ordering::SeqCst)).sum()
    }
}

/// Starts all four.
pub(super) async fn start() -> Result<Origins, Trouble> {
    let departments: [(&str, Api); 4] = [("mca", civil_affairs), ("psb", police), ("tax", tax_office), ("stats", statistics)];
    let mut origins = BTreeMap::new();
    for (id, answer) in departments {
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        let answering: Answering = Arc::new(move |asked| {
            counted.fetch_add(1, Ordering::SeqCst);
            answer(asked)
        });
        origins.insert(id, Origin { port: serve(None, answering).await?, calls });
    }
    Ok(Origins(origins))
}

fn civil_affairs(asked: &Asked) -> (StatusCode, Value) {
    match (&asked.method, asked.uri.path()) {
        (&Method::POST, "/mca/marriage/query") => by_number(asked, |person| person.marriage()),
        (&Method::GET, "/mca/divisions") => {
            list(asked, DIVISIONS.iter().map(|(code, name)| json!({ "code": code, "name": name, "tier": "province" })))
        }
        (&Method::GET, "/mca/elderly") => list(asked, PEOPLE.iter().filter_map(|person| person.elderly())),
        _ => unknown(),
    }
}

fn police(asked: &Asked) -> (StatusCode, Value) {
    match (&asked.method, asked.uri.path()) {
        (&Method::POST, "/psb/population/query") => by_number(asked, |person| person.population()),
        (&Method::GET, "/psb/population") => list(asked, PEOPLE.iter().map(|person| person.population())),
        _ => unknown(),
    }
}

fn tax_office(asked: &Asked) -> (StatusCode, Value) {
    match (&asked.method, asked.uri.path()) {
        (&Method::GET, "/tax/enterprise") => {
            let period = asked.parameter("period");
            list(asked, tax().into_iter().filter(|row| period.is_none_or(|period| row["period"] == period)))
        }
        _ => unknown(),
    }
}

fn statistics(asked: &Asked) -> (StatusCode, Value) {
    match (&asked.method, asked.uri.path()) {
        (&Method::GET, "/stats/survey") => {
            list(asked, [json!({ "household": "SYN-000001", "income": 48_000, "remark": "合成数据" })].into_iter())
        }
        _ => unknown(),
    }
}

fn by_number(asked: &Asked, row: impl Fn(&super::people::Person) -> Value) -> (StatusCode, Value) {
    let content: Value = serde_json::from_slice(&asked.content).unwrap_or_default();
    let Some(number) = content["id_number"].as_str() else {
        return (StatusCode::BAD_REQUEST, json!({ "message": "`id_number` is missing" }));
    };
    envelope(PEOPLE.iter().filter(|person| person.id_number() == number).map(row).collect())
}

fn list(asked: &Asked, rows: impl Iterator<Item = Value>) -> (StatusCode, Value) {
    let number = |name| asked.parameter(name).and_then(|value| value.parse::<usize>().ok());
    envelope(rows.skip(number("offset").unwrap_or(0)).take(number("limit").unwrap_or(usize::MAX)).collect())
}

/// As such APIs answer: the rows in an envelope that the catalogue does not list either.
fn envelope(data: Vec<Value>) -> (StatusCode, Value) {
    (StatusCode::OK, json!({ "total": data.len(), "data": data, "source": "合成数据", "trace": "internal-host-07" }))
}

fn unknown() -> (StatusCode, Value) {
    (StatusCode::NOT_FOUND, json!({ "message": "no such interface" }))
}

/// The provincial-level divisions, GB/T 2260.
const DIVISIONS: [(&str, &str); 34] = [
    ("110000", "北京市"),
    ("120000", "天津市"),
    ("130000", "河北省"),
    ("140000", "山西省"),
    ("150000", "内蒙古自治区"),
    ("210000", "辽宁省"),
    ("220000", "吉林省"),
    ("230000", "黑龙江省"),
    ("310000", "上海市"),
    ("320000", "江苏省"),
    ("330000", "浙江省"),
    ("340000", "安徽省"),
    ("350000", "福建省"),
    ("360000", "江西省"),
    ("370000", "山东省"),
    ("410000", "河南省"),
    ("420000", "湖北省"),
    ("430000", "湖南省"),
    ("440000", "广东省"),
    ("450000", "广西壮族自治区"),
    ("460000", "海南省"),
    ("500000", "重庆市"),
    ("510000", "四川省"),
    ("520000", "贵州省"),
    ("530000", "云南省"),
    ("540000", "西藏自治区"),
    ("610000", "陕西省"),
    ("620000", "甘肃省"),
    ("630000", "青海省"),
    ("640000", "宁夏回族自治区"),
    ("650000", "新疆维吾尔自治区"),
    ("710000", "台湾省"),
    ("810000", "香港特别行政区"),
    ("820000", "澳门特别行政区"),
];

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::people::applicant;
    use super::*;

    fn asked(method: Method, uri: &str, content: &str) -> Asked {
        Asked { method, uri: uri.parse().unwrap(), content: Bytes::from(content.to_owned()) }
    }

    #[test]
    fn a_register_answers_with_more_than_the_catalogue_lists() {
        let content = json!({ "id_number": applicant().id_number() }).to_string();
        let (status, answer) = police(&asked(Method::POST, "/psb/population/query", &content));
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["data"][0]["name"], applicant().name);
        assert!(answer["data"][0].get("household_no").is_some() && answer.get("trace").is_some());
        let (_, nobody) = police(&asked(Method::POST, "/psb/population/query", r#"{"id_number":"990102190001010000"}"#));
        assert_eq!(nobody["data"], json!([]));
        assert_eq!(police(&asked(Method::POST, "/psb/population/query", "{}")).0, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn lists_are_cut_and_filtered_by_their_parameters() {
        let (_, answer) = tax_office(&asked(Method::GET, "/tax/enterprise?period=2026-10&limit=2", ""));
        assert_eq!(answer["data"].as_array().unwrap().len(), 2);
        let (_, answer) = police(&asked(Method::GET, "/psb/population?offset=5", ""));
        assert_eq!(answer["data"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn the_divisions_are_complete_and_properly_named() {
        let (_, answer) = civil_affairs(&asked(Method::GET, "/mca/divisions", ""));
        let names: Vec<&str> = answer["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), 34);
        for name in ["台湾省", "香港特别行政区", "澳门特别行政区"] {
            assert!(names.contains(&name));
        }
    }
}
