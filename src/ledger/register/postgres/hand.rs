//! The book of quotas in the database that gateways share: `kanhe.quotas` says what all of them hold of a grant's day,
//! `kanhe.portions` what each does. Both change in one transaction under the day's row, so that no portion is given twice.

use jiff::civil::Date;
use postgres::{Client, Transaction};

use super::super::Broken;
use super::super::portion::{Asked, Given, Portion, size};
use super::{Database, make_tables};

const BEGIN: &str = "INSERT INTO kanhe.quotas (grant_id, day) VALUES ($1, $2::text::date) ON CONFLICT DO NOTHING";
const READ: &str = "
SELECT q.calls, q.records, coalesce(p.calls, 0), coalesce(p.records, 0)
FROM kanhe.quotas q LEFT JOIN kanhe.portions p ON p.grant_id = q.grant_id AND p.day = q.day AND p.log = $3
WHERE q.grant_id = $1 AND q.day = $2::text::date FOR UPDATE OF q";
const WRITE: &str = "
UPDATE kanhe.quotas SET calls = $3, records = $4, hungry = CASE WHEN $5 THEN now() ELSE hungry END
WHERE grant_id = $1 AND day = $2::text::date";
const WRITE_OWN: &str = "
INSERT INTO kanhe.portions (grant_id, day, log, calls, records, unused_calls, unused_records)
VALUES ($1, $2::text::date, $3, $4, $5, $6, $7) ON CONFLICT (grant_id, day, log) DO UPDATE
SET calls = excluded.calls, records = excluded.records, unused_calls = excluded.unused_calls, unused_records = excluded.unused_records";
/// Gateways that are up; what one that is not holds unused comes back no more on this day, as far as anybody knows.
const UP: &str = "SELECT count(*) FROM kanhe.gateways WHERE seen > now() - interval '30 s'";
const ELSEWHERE: &str = "
SELECT coalesce(sum(p.unused_calls), 0)::bigint, coalesce(sum(p.unused_records), 0)::bigint
FROM kanhe.portions p JOIN kanhe.gateways g ON g.log = p.log
WHERE p.grant_id = $1 AND p.day = $2::text::date AND p.log <> $3 AND g.seen > now() - interval '30 s'";
const HUNGRY: &str = "SELECT grant_id, day::text FROM kanhe.quotas WHERE hungry > now() - interval '3 s' AND day >= $1::text::date";
const OWN: &str = "SELECT grant_id FROM kanhe.portions WHERE log = $1 AND day = $2::text::date";

/// One gateway's hand in the book.
pub struct Hand {
    client: Client,
    log: String,
}

/// A grant's day as the book has it.
struct Page {
    all: Portion,
    own: Portion,
}

fn number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Hand {
    /// Connects for the gateway of this log.
    pub fn open(database: &Database, log: &str) -> Result<Self, Broken> {
        let mut client = database.connect()?;
        make_tables(&mut client)?;
        Ok(Self { client, log: log.to_owned() })
    }

    /// Draws the next portion. A book that says less than this gateway holds is set right first; where it says more, an
    /// answer of before was lost, and this gateway finds its portion again.
    pub fn ask(&mut self, asked: &Asked<'_>) -> Result<Given, Broken> {
        let Asked { grant, day, limits, held, unused, least, all } = *asked;
        let day = day.to_string();
        let mut transaction = self.client.transaction()?;
        let Page { all: total, own } = read(&mut transaction, grant, &day, &self.log)?;
        let found = own.with(held, u64::saturating_sub);
        let (least, all) = (least.with(found, u64::saturating_sub), all.with(found, u64::saturating_sub));
        let total = total.with(held.with(own, u64::saturating_sub), u64::saturating_add);
        let own = own.with(held, u64::max);
        let gateways = number(transaction.query_one(UP, &[])?.get(0));
        let left = [total.calls, total.records];
        let left: Vec<u64> = limits.iter().zip(left).map(|(limit, held)| limit.map_or(0, |limit| limit.saturating_sub(held))).collect();
        let counted = |limit: Option<u64>, number: u64| limit.map_or(0, |_| number);
        let least = Portion { calls: counted(limits[0], least.calls), records: counted(limits[1], least.records) };
        let enough = left[0] >= least.calls && left[1] >= least.records;
        let given = if enough {
            Portion { calls: size(left[0], gateways, least.calls, all.calls), records: size(left[1], gateways, least.records, all.records) }
        } else {
            Portion::default()
        };
        let elsewhere = !enough && {
            let row = transaction.query_one(ELSEWHERE, &[&grant, &day, &self.log])?;
            left[0] + number(row.get(0)) >= least.calls && left[1] + number(row.get(1)) >= least.records
        };
        let (own, total) = (own.with(given, u64::saturating_add), total.with(given, u64::saturating_add));
        let unused = unused.with(found, u64::saturating_add).with(given, u64::saturating_add);
        write(&mut transaction, (grant, &day, &self.log), &Page { all: total, own }, unused, !enough)?;
        transaction.commit()?;
        Ok(Given { held: own, enough, elsewhere })
    }

    /// Gives back what this gateway held beyond `held`, of which so much is unused.
    pub fn keep(&mut self, grant: &str, day: Date, held: Portion, unused: Portion) -> Result<(), Broken> {
        let day = day.to_string();
        let mut transaction = self.client.transaction()?;
        let Page { all, own } = read(&mut transaction, grant, &day, &self.log)?;
        let all = all.with(own, u64::saturating_sub).with(held, u64::saturating_add);
        write(&mut transaction, (grant, &day, &self.log), &Page { all, own: held }, unused, false)?;
        Ok(transaction.commit()?)
    }

    /// Grants of which some gateway found nothing left a moment ago, on this day or later.
    pub fn hungry(&mut self, since: Date) -> Result<Vec<(String, Date)>, Broken> {
        let rows = self.client.query(HUNGRY, &[&since.to_string()])?;
        Ok(rows.iter().filter_map(|row| Some((row.get(0), row.get::<_, String>(1).parse().ok()?))).collect())
    }

    /// Grants of which the book says that this gateway holds something of the day.
    pub fn own(&mut self, day: Date) -> Result<Vec<String>, Broken> {
        Ok(self.client.query(OWN, &[&self.log, &day.to_string()])?.iter().map(|row| row.get(0)).collect())
    }

    /// Days before this one are forgotten.
    pub fn forget(&mut self, before: Date) -> Result<(), Broken> {
        for table in ["portions", "quotas"] {
            self.client.execute(&format!("DELETE FROM kanhe.{table} WHERE day < $1::text::date"), &[&before.to_string()])?;
        }
        Ok(())
    }
}

/// The grant's day, held until the transaction ends.
fn read(transaction: &mut Transaction<'_>, grant: &str, day: &str, log: &str) -> Result<Page, Broken> {
    transaction.execute(BEGIN, &[&grant, &day])?;
    let row = transaction.query_one(READ, &[&grant, &day, &log])?;
    let at = |column: usize| number(row.get(column));
    Ok(Page { all: Portion { calls: at(0), records: at(1) }, own: Portion { calls: at(2), records: at(3) } })
}

fn write(
    transaction: &mut Transaction<'_>,
    (grant, day, log): (&str, &str, &str),
    page: &Page,
    unused: Portion,
    hungry: bool,
) -> Result<(), Broken> {
    let Page { all, own } = page;
    transaction.execute(WRITE, &[&grant, &day, &signed(all.calls), &signed(all.records), &hungry])?;
    let (calls, records, unused_calls, unused_records) =
        (signed(own.calls), signed(own.records), signed(unused.calls), signed(unused.records));
    transaction.execute(WRITE_OWN, &[&grant, &day, &log, &calls, &records, &unused_calls, &unused_records])?;
    Ok(())
}
