//! What is compared.

use crate::load::Speaks;
use crate::peers::Envoy;
use crate::world::{DENIED, FULL, HUNDRED, MEBI, SMALL, Shape};

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Haproxy,
    Envoy(Envoy),
    Hyper,
    Kanhe,
}

/// One comparison. The first of the peers is what the others are held against.
pub struct Case {
    pub name: &'static str,
    pub about: &'static str,
    pub peers: Vec<(&'static str, Kind, Shape)>,
    pub method: &'static str,
    pub path: &'static str,
    /// What the gateway answers.
    pub status: u16,
    pub speaks: Speaks,
    pub connections: usize,
    pub requests: usize,
    /// Whether the time of answers at a fixed rate is measured too.
    pub open: bool,
    /// An origin that answers after a millisecond.
    pub slow_origin: bool,
    /// Every call has another requester.
    pub cold: bool,
}

const PLAIN: Case = Case {
    name: "",
    about: "",
    peers: Vec::new(),
    method: "GET",
    path: SMALL,
    status: 200,
    speaks: Speaks::Http1,
    connections: 32,
    requests: 20_000,
    open: false,
    slow_origin: false,
    cold: false,
};

fn plain(shape: Shape) -> Vec<(&'static str, Kind, Shape)> {
    vec![
        ("nginx proxy_pass", Kind::Nginx, shape),
        ("HAProxy", Kind::Haproxy, shape),
        ("Envoy, plain routing", Kind::Envoy(Envoy::Plain), shape),
    ]
}

/// Plain proxies, the bare one, and the gateway in these shapes.
fn beside(shapes: &[(&'static str, Shape)]) -> Vec<(&'static str, Kind, Shape)> {
    let hyper = ("bare hyper proxy", Kind::Hyper, FULL);
    plain(FULL).into_iter().chain([hyper]).chain(shapes.iter().map(|(label, shape)| (*label, Kind::Kanhe, *shape))).collect()
}

/// All comparisons.
pub fn all() -> Vec<Case> {
    let masked = Shape { masked: 3, ..FULL };
    let tls = Shape { tls: true, ..FULL };
    let certified = Shape { tls: true, verify_clients: true, ..FULL };
    let large = Shape { policies: 10_000, grants: 100_000, ..FULL };
    let (many, many_large) = (Shape { requesters: 20_000, ..FULL }, Shape { requesters: 20_000, ..large });
    let with_kanhe = |shape| plain(shape).into_iter().chain([("kanhe", Kind::Kanhe, shape)]).collect::<Vec<_>>();
    vec![
        Case {
            name: "full",
            about: "plain proxying, and the full line with nothing masked",
            peers: beside(&[("kanhe, full line", FULL)]),
            open: true,
            ..PLAIN
        },
        Case { name: "masked", about: "the full line with 3 of 10 items masked", peers: beside(&[("kanhe, 3 masked", masked)]), ..PLAIN },
        Case {
            name: "denied",
            about: "a denial by policy beside passing on (beyond ten a second a requester's denials fold into one entry)",
            peers: beside(&[("kanhe, denied", FULL)]),
            path: DENIED,
            status: 403,
            ..PLAIN
        },
        Case {
            name: "assembled",
            about: "what users would assemble otherwise",
            peers: vec![
                ("Envoy with jwt_authn, RBAC and access log", Kind::Envoy(Envoy::Assembled), FULL),
                ("kanhe, full line", Kind::Kanhe, FULL),
            ],
            ..PLAIN
        },
        Case { name: "tls-h2", about: "TLS and HTTP/2", peers: with_kanhe(tls), speaks: Speaks::Http2, ..PLAIN },
        Case {
            name: "tls-new",
            about: "a new TLS connection with a client certificate for every request",
            peers: with_kanhe(certified),
            speaks: Speaks::Fresh,
            connections: 8,
            requests: 2_000,
            ..PLAIN
        },
        Case {
            name: "mebibyte",
            about: "JSON of 1 MiB, rewritten by the gateway",
            peers: with_kanhe(FULL),
            path: MEBI,
            connections: 4,
            requests: 500,
            ..PLAIN
        },
        Case {
            name: "hundred",
            about: "an opaque answer of 100 MiB",
            peers: with_kanhe(FULL),
            path: HUNDRED,
            connections: 2,
            requests: 20,
            ..PLAIN
        },
        Case {
            name: "large-warm",
            about: "20 grants and 20 policies, 100,000 grants and 10,000 policies, one requester",
            peers: vec![("kanhe, small", Kind::Kanhe, FULL), ("kanhe, large", Kind::Kanhe, large)],
            ..PLAIN
        },
        Case {
            name: "large-cold",
            about: "the same, every call a new requester and case",
            peers: vec![("kanhe, small", Kind::Kanhe, many), ("kanhe, large", Kind::Kanhe, many_large)],
            cold: true,
            ..PLAIN
        },
        latency("latency-safe", "GET"),
        latency("latency-unsafe", "POST"),
    ]
}

fn latency(name: &'static str, method: &'static str) -> Case {
    Case {
        name,
        about: "an origin that answers after a millisecond",
        peers: vec![("bare hyper proxy", Kind::Hyper, FULL), ("kanhe, full line", Kind::Kanhe, FULL)],
        method,
        open: true,
        slow_origin: true,
        ..PLAIN
    }
}
