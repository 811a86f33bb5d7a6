//! Kanhe (勘合): a policy-driven gateway for sharing government data between departments.
//!
//! # The life of a request
//!
//! [`gateway::pipeline`] reads like this list, one statement a step:
//!
//! 1. **admit** ([`gateway::admission`]): request and connection become `Admitted`, with one snapshot of policies,
//!    catalogue, parties and purposes for the whole call. Else 400 413 414 429 431 503 505.
//! 2. **authenticate** ([`identity`]): credentials become a `Subject`: requester, demanding department, operator. Else 401.
//! 3. **resolve** ([`catalogue`]): method and path become a `Target`: resource and operation. After 2, so that strangers
//!    cannot probe. Else 404 405.
//! 4. **bind** ([`purpose`]): subject, target and stated purpose become `Bound`: scenario, grant, case. Else 403.
//! 5. **decide** ([`policy`]): all three and the circumstances become a `Permit` with a disclosure plan. Else 403; any
//!    evaluation error is a denial.
//! 6. **commit** ([`share`], [`ledger`]): eats the permit and gives `Intent`, `PendingReceipt` and `Settlement`; the pending
//!    receipt becomes a `Receipt` once the entry is durable. Else 503: no record, no share.
//! 7. **forward** ([`origin`]): the request goes to the department's API with a `Passage`, made from the intent and a safe
//!    method, or from the receipt. Else 502 504, settled as failed.
//! 8. **disclose** ([`disclosure`]): the answer becomes `Disclosed` by the intent's plan; unlisted items are omitted, what
//!    cannot be judged is refused. Else 502; an unjudged byte never leaves.
//! 9. **reply**: needs the receipt and what was disclosed; the content owns the settlement.
//! 10. **settle** ([`share`], [`ledger`]): the content's end, abort or drop consumes the settlement into an entry:
//!     complete, cut or failed. Recovery closes open intents as *unknown*.
//!
//! # The house
//!
//! A file imports only from lower ranks; siblings on a line never import each other. `tests/it/architecture.rs` holds it.
//!
//! ```text
//! main > cli > app > config
//! 9 gateway admin | 8 origin replay shadow | 7 share snapshot | 6 policy | 5 purpose | 4 catalogue
//! 3 identity disclosure ledger | 2 telemetry | 1 written tls | 0 sys lang cores
//! ```
//!
//! The catalogue stands above disclosure, because an item declares its path and its mask.

pub mod cores;
pub mod lang;
pub mod sys;
pub mod telemetry;
pub mod tls;
pub mod written;

pub mod disclosure;
pub mod identity;
pub mod ledger;

pub mod catalogue;

pub mod purpose;

pub mod policy;

pub mod share;
pub mod snapshot;

pub mod origin;
pub mod replay;
pub mod shadow;

pub mod admin;
pub mod gateway;

pub mod config;

pub mod app;

pub mod cli;
