//! Which gateway has had which control snapshot since when, so that one that lags behind others says so.

use super::super::Broken;
use super::Postgres;

/// A gateway that follows others has the snapshot since when they have it: the newest is the one that was published last,
/// whoever took it up last. A restart under the same snapshot changes nothing.
const ACTIVATED: &str = "
INSERT INTO kanhe.snapshots (log, snapshot, activated)
SELECT $1, $2, coalesce((SELECT max(other.activated) FROM kanhe.snapshots AS other
  WHERE other.log <> $1 AND other.snapshot = $2 AND (own.activated IS NULL OR other.activated > own.activated)), now())
FROM (SELECT 1) AS once LEFT JOIN LATERAL
  (SELECT snapshot, activated FROM kanhe.snapshots WHERE log = $1 ORDER BY activated DESC LIMIT 1) AS own ON true
WHERE own.snapshot IS DISTINCT FROM $2
ON CONFLICT DO NOTHING";

/// What another gateway has in the place of this one's snapshot, which it had too. Gateways whose control folders were never
/// the same are not behind each other.
const NEWER: &str = "
SELECT newest.snapshot
FROM (SELECT snapshot, activated FROM kanhe.snapshots WHERE log = $1 ORDER BY activated DESC LIMIT 1) AS own,
  (SELECT DISTINCT ON (log) log, snapshot, activated FROM kanhe.snapshots WHERE log <> $1 ORDER BY log, activated DESC) AS newest
WHERE newest.activated > own.activated AND newest.snapshot <> own.snapshot
  AND EXISTS (SELECT FROM kanhe.snapshots AS before WHERE before.log = newest.log AND before.snapshot = own.snapshot)
ORDER BY newest.activated DESC LIMIT 1";

impl Postgres {
    /// Says which snapshot is in force here; the newer one that others have in its place.
    pub(super) fn in_force(&mut self, snapshot: &str) -> Result<Option<String>, Broken> {
        self.client.execute(ACTIVATED, &[&self.log, &snapshot])?;
        Ok(self.client.query_opt(NEWER, &[&self.log])?.map(|row| row.get(0)))
    }
}
