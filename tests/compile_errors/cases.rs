//! Programs that do not compile. main.rs compiles them one at a time, with `--cfg case="..."`.
//! Without it, this crate is empty.
#![allow(dead_code, missing_docs)]

#[cfg(case = "closure_as_resolver")]
#[path = "cases/closure_as_resolver.rs"]
mod case;

#[cfg(case = "compression_inside")]
#[path = "cases/compression_inside.rs"]
mod case;

#[cfg(case = "no_mistake")]
#[path = "cases/no_mistake.rs"]
mod case;

#[cfg(case = "path_of_strings")]
#[path = "cases/path_of_strings.rs"]
mod case;

#[cfg(case = "pool_as_store")]
#[path = "cases/pool_as_store.rs"]
mod case;

#[cfg(case = "store_not_awaited")]
#[path = "cases/store_not_awaited.rs"]
mod case;
