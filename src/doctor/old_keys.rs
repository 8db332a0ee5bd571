//! Whether stored grants still need an older key of the ring.

use std::pin::pin;
use std::time::Duration;

use futures_util::stream::StreamExt;

use super::report::Check;
use crate::context::Context;
use crate::store::StoreError;
use crate::util::deadline::Deadline;

const NAME: &str = "old keys";

/// How many rows are looked at, and for how long: a table may have millions.
const MAX_ROWS: usize = 100_000;
const BUDGET: Duration = Duration::from_secs(4);

/// A check if the ring has more than one key.
pub async fn check(context: &Context) -> Option<Check> {
    if context.keyring.keys().len() < 2 {
        return None;
    }
    let deadline = Deadline::after(BUDGET);
    let mut rows = pin!(context.vault.scan(None).take(MAX_ROWS + 1));
    let (mut seen, mut old) = (0_usize, 0_usize);
    let is_whole = loop {
        match deadline.limit(rows.next()).await {
            Some(None) => break seen <= MAX_ROWS,
            None => break false,
            Some(Some(Ok(row))) => {
                seen += 1;
                old += usize::from(!context.vault.is_newest(&row));
            }
            Some(Some(Err(StoreError::Unsupported(_)))) => {
                return Some(Check::ok(NAME, "unknown: the store cannot list its rows"));
            }
            Some(Some(Err(error))) => {
                return Some(Check::warning(
                    NAME,
                    format!("could not be counted: {error}"),
                    "see the check of the store",
                ));
            }
        }
    };
    Some(report(seen, old, is_whole))
}

fn report(seen: usize, old: usize, is_whole: bool) -> Check {
    let of_first = if is_whole { String::new() } else { format!(" among the first {seen}") };
    if old > 0 {
        return Check::warning(
            NAME,
            format!("{old} stored grants still need an old key{of_first}"),
            "run WebflowAuthHandle::reseal before you remove the old key",
        );
    }
    Check::ok(NAME, format!("no stored grant needs an old key{of_first}"))
}
