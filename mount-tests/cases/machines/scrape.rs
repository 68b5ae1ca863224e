//! Programs that read metrics, as docs/machines.md says to set them up: Prometheus's
//! node_exporter with a link to `metrics`, a Prometheus that asks it, the alerts.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::Lab;
use crate::lab::case::{Case, both, embedded_only};
use crate::lab::engine::no_root;
use crate::lab::shell::{attempt, output};
use crate::lab::{wait_for, wait_longer};

const EXPORTER: &str = "prometheus-node-exporter";

pub const CASES: &[Case] = &[
    both("node_exporter_reads_metrics", exporter_reads).needing(no_exporter),
    embedded_only(
        "prometheus_gets_them_and_alerts",
        "it takes its time, and reads the same text of either engine",
        prometheus_alerts,
    )
    .needing(no_prometheus),
    embedded_only("alert_rules", "they are no engine's", alert_rules).needing(no_promtool),
];

/// A program that `mount-tests/setup` has unpacked, or that is installed.
fn program(name: &str) -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unpacked = project.join("target/vm/prometheus/usr/bin").join(name);
    let (status, found) = attempt(&format!("command -v {name}"));
    let installed = (status == 0).then(|| found.trim().into());
    unpacked.exists().then_some(unpacked).or(installed)
}

fn no_exporter() -> Option<&'static str> {
    program(EXPORTER)
        .is_none()
        .then_some("there is no prometheus-node-exporter")
}

fn no_promtool() -> Option<&'static str> {
    program("promtool")
        .is_none()
        .then_some("there is no promtool")
}

fn no_prometheus() -> Option<&'static str> {
    let none = program("prometheus").is_none();
    none.then_some("there is no prometheus")
        .or_else(no_exporter)
        .or_else(no_root)
}

/// A server on a port of its own, gone when it is dropped.
struct Server {
    child: Child,
    at: String,
    /// What it reads and writes.
    _folder: TempDir,
}

impl Server {
    fn start(name: &str, folder: TempDir, words: &[String]) -> Server {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = free.local_addr().expect("its number").to_string();
        drop(free);
        let child = Command::new(program(name).expect(name))
            .args(words)
            .arg(format!("--web.listen-address={at}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(name);
        Server {
            child,
            at,
            _folder: folder,
        }
    }

    /// What it answers, if it does.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.at).ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.at);
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.into())
    }

    fn json(&self, path: &str) -> Value {
        let text = self.get(path).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The node_exporter on a folder that has a link to `metrics` in it.
fn exporter(metrics: &Path) -> Server {
    let folder = TempDir::new().expect("a folder");
    symlink(metrics, folder.path().join("mirrorfs.prom")).expect("a link");
    let words = [
        "--collector.disable-defaults".into(),
        "--collector.textfile".into(),
        format!("--collector.textfile.directory={}", folder.path().display()),
    ];
    Server::start(EXPORTER, folder, &words)
}

/// The figures of a text that are mirrorfs's, by name and labels.
fn figures(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| line.starts_with("mirrorfs_"));
    let figure = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a figure");
        let (name, labels) = name.trim_end_matches('}').split_once('{').expect("labels");
        let mut labels: Vec<&str> = labels
            .split("\",")
            .map(|l| l.trim_end_matches('"'))
            .collect();
        labels.sort_unstable();
        (
            format!("{name} {labels:?}"),
            value.parse().expect("a number"),
        )
    };
    lines.map(figure).collect()
}

/// It takes the text as it is, each time anew; of a mount that is gone it says so.
fn exporter_reads(lab: &Lab) {
    let mount = lab.mount();
    mount.write("new", &format!("a: {}", lab.equal(0, 1)));
    fs::create_dir(mount.path("b")).expect("made");
    mount.wait_in_sync("a");
    let server = exporter(&mount.path("metrics"));
    wait_longer(60, "an answer", || server.get("/metrics").is_some());
    let read = || figures(&server.get("/metrics").expect("an answer"));
    wait_for("the same figures", || {
        read() == figures(&mount.read("metrics"))
    });
    assert!(read().len() > 30, "{:?}", read());
    mount.write("a/ctl", "suspend");
    let held = "mirrorfs_state [\"mirror=\\\"a\", \"state=\\\"suspended\"]";
    assert_eq!(read().get(held), Some(&1.0), "{:?}", read());
    mount.write("a/ctl", "resume");
    mount.write("a/ctl", "remove");
    fs::remove_dir(mount.path("b")).expect("removed");
    mount.stop();
    let answer = server.get("/metrics").expect("an answer");
    assert!(figures(&answer).is_empty(), "{answer}");
    assert!(
        answer.contains("\nnode_textfile_scrape_error 1\n"),
        "{answer}"
    );
}

/// The part of docs/machines.md that configures Prometheus, with these addresses.
fn configuration(exporter: &str) -> String {
    let text = include_str!("../../../docs/machines.md");
    let block = text.split("```yaml\n").nth(1).expect("a block");
    let block = block.split("```").next().expect("its end");
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.yml");
    let block = block.replace("/etc/prometheus/mirrorfs-alerts.yml", rules);
    let changed = block.replace("localhost:9100", exporter);
    assert!(
        changed.contains(rules) && changed.contains(exporter),
        "{changed}"
    );
    format!("global: {{ scrape_interval: 200ms, evaluation_interval: 200ms }}\n{changed}")
}

/// A Prometheus that asks this node_exporter.
fn prometheus(exporter: &Server) -> Server {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, configuration(&exporter.at)).expect("written");
    let words = [
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", folder.path().display()),
    ];
    Server::start("prometheus", folder, &words)
}

/// A real Prometheus has the figures, and its alerts come when a target fails.
fn prometheus_alerts(lab: &Lab) {
    let ((source, _), leg) = (lab.noise(0, 1 << 20), lab.fragile(1, 2048));
    let mount = lab.mount();
    let server = exporter(&mount.path("metrics"));
    let prometheus = prometheus(&server);
    let target = &leg.path;
    mount.write(
        "new",
        &format!("m: 0 2048 mirror core 2 128 nosync 2 {source} 0 {target} 0 1 handle_errors"),
    );
    let asked = |metric: &str| {
        let answer = prometheus.json(&format!("/api/v1/query?query={metric}"));
        let result = &answer["data"]["result"];
        let values = result.as_array().into_iter().flatten();
        values
            .filter_map(|one| Some(one["value"][1].as_str()?.to_string()))
            .collect::<Vec<_>>()
    };
    // It begins to ask five seconds after its start.
    wait_longer(60, "the figures", || {
        asked("mirrorfs_regions_in_sync") == ["16"]
    });
    assert_eq!(asked("mirrorfs_size_bytes"), ["1048576"]);
    assert_eq!(asked("mirrorfs_build_info"), ["1"]);
    leg.fail();
    mount.write("m/ctl", "resync");
    wait_longer(60, "the alert", || {
        let answer = prometheus.json("/api/v1/alerts");
        let alerts = answer["data"]["alerts"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        alerts.iter().any(|alert| {
            let labels = &alert["labels"];
            labels["alertname"] == "MirrorDegraded" && labels["mirror"] == "m"
        })
    });
    drop((prometheus, server));
    mount.write("m/ctl", "remove");
}

/// The rules are right, and each alert comes when it is to and not before.
fn alert_rules(_lab: &Lab) {
    let promtool = program("promtool").expect("promtool").display().to_string();
    let project = env!("CARGO_MANIFEST_DIR");
    output(&format!("{promtool} check rules {project}/docs/alerts.yml"));
    output(&format!(
        "{promtool} test rules {project}/mount-tests/alerts.yml"
    ));
}
