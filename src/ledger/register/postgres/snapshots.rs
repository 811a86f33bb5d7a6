//! Which control snapshot each gateway had since when, in `kanhe.snapshots`, and whether a peer has a newer one. Peers are
//! gateways that ever had a snapshot in common: those of other control folders share the database alone.
//!
//! A row tells when its gateway activated the snapshot and when that was *published*, which is when the first gateway did. A
//! gateway that follows late takes over its peers' time, so that neither a late follower nor a restart looks like news.

use postgres::Client;

use super::Broken;

pub(super) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS kanhe.snapshots (log text NOT NULL, snapshot text NOT NULL, activated timestamptz NOT NULL,
  published timestamptz NOT NULL, PRIMARY KEY (log, activated));
CREATE INDEX IF NOT EXISTS snapshots_snapshot ON kanhe.snapshots (snapshot, published);
";

/// Nothing where the gateway's newest row has this snapshot already: it has only started again.
const ACTIVATED: &str = "
WITH mine AS (SELECT snapshot, published FROM kanhe.snapshots WHERE log = $1 ORDER BY activated DESC LIMIT 1)
INSERT INTO kanhe.snapshots (log, snapshot, activated, published)
SELECT $1, $2, clock_timestamp(), coalesce(
  (SELECT max(published) FROM kanhe.snapshots WHERE snapshot = $2 AND published > coalesce((SELECT published FROM mine), '-infinity')),
  clock_timestamp())
WHERE NOT EXISTS (SELECT 1 FROM mine WHERE snapshot = $2)";

/// The newest published snapshot of this gateway and its peers; a peer that was not seen for an hour no longer counts.
const NEWEST: &str = "
SELECT s.snapshot, s.log FROM kanhe.snapshots s
WHERE s.log IN (SELECT theirs.log FROM kanhe.snapshots theirs JOIN kanhe.snapshots mine USING (snapshot) WHERE mine.log = $1)
  AND (s.log = $1 OR s.log IN (SELECT log FROM kanhe.gateways WHERE seen > now() - interval '1 h'))
ORDER BY s.published DESC, s.log = $1 DESC LIMIT 1";

/// A snapshot newer than the one in force here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Its digest.
    pub snapshot: String,
    /// The log of a gateway that has it.
    pub log: String,
}

/// Writes down that `log` has this snapshot; whether a peer has a newer one.
pub(super) fn compare(client: &mut Client, log: &str, snapshot: &str) -> Result<Option<Ahead>, Broken> {
    client.execute(ACTIVATED, &[&log, &snapshot])?;
    let newest = client.query_opt(NEWEST, &[&log])?.map(|row| Ahead { snapshot: row.get(0), log: row.get(1) });
    Ok(newest.filter(|newest| newest.snapshot != snapshot))
}
