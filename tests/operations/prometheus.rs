//! A Prometheus that scrapes the demo.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::port::free_address;

pub const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/operations/alerts.yml");

pub struct Prometheus {
    process: Child,
    url: String,
    client: reqwest::Client,
    folder: TempDir,
}

impl Prometheus {
    pub async fn start(target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms }}\n\
             rule_files: ['{RULES}']\n\
             scrape_configs: [{{ job_name: demo, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        fs::write(&config, text).unwrap();
        let address = free_address();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .expect("prometheus is not installed: run scripts/operations");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{address}");
        let prometheus = Self { process, url, client, folder };
        for _ in 0..200 {
            if prometheus.is_ready().await {
                return prometheus;
            }
            sleep(Duration::from_millis(50)).await;
        }
        let log = fs::read_to_string(prometheus.folder.path().join("log")).unwrap();
        panic!("Prometheus is not ready: {log}");
    }

    async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/-/ready", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The data in a response of its API.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let request = self.client.get(format!("{}/api/v1/{path}", self.url)).query(query);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        answer["data"].clone()
    }

    pub async fn query(&self, query: &str) -> Value {
        self.get("query", &[("query", query)]).await["result"].clone()
    }

    /// Waits for another scrape of the demo.
    pub async fn scraped(&self) {
        let before = self.scrapes().await;
        for _ in 0..200 {
            if self.scrapes().await != before {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the demo is not scraped: {before}");
    }

    async fn scrapes(&self) -> Value {
        self.query("timestamp(up{job=\"demo\"} == 1)").await[0]["value"][1].clone()
    }

    /// The names of the firing alerts.
    pub async fn firing(&self) -> Vec<String> {
        let alerts = self.get("alerts", &[]).await;
        let alerts = alerts["alerts"].as_array().unwrap();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
