//! What the command prints: text or JSON on standard output, progress on standard error.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::failure::Failure;

#[derive(Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result.
    pub(crate) fn line(self, json: &Value, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        if self.json { writeln!(stdout, "{json}") } else { writeln!(stdout, "{text}") }
            .map_err(Failure::Io)
    }

    /// Prints a result of a job without disturbing its progress bar. Without a text, only JSON has
    /// it.
    pub(crate) fn row(
        self,
        bar: &ProgressBar,
        json: &Value,
        text: Option<&str>,
    ) -> Result<(), Failure> {
        match text {
            None if !self.json => Ok(()),
            text => bar.suspend(|| self.line(json, text.unwrap_or_default())),
        }
    }

    /// A bar on standard error, if that is a terminal; a spinner if the length is not known.
    pub(crate) fn progress(self, length: Option<u64>) -> ProgressBar {
        let target =
            if self.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(length, target);
        let template = match length {
            Some(_) => "{bar:40} {pos}/{len}  {elapsed} of {duration}  {msg}",
            None => "{spinner} {pos}  {elapsed}  {msg}",
        };
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

/// Text from a store, in which control characters cannot disturb the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}
