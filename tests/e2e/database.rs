//! A workload with data: a real database, filled while an image is baked, answers with its data in a cluster that
//! just booted from it. Deployed with manifests alone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_e2e::PREFIX;
use kubake_e2e::cluster::Cluster;
use kubake_e2e::debian;
use kubake_e2e::engine::{self, Images};
use kubake_e2e::lab::{self, lab};
use serde_json::{Value, json};

use crate::Case;

pub(crate) const CASES: &[Case] =
    &[("a database that was filled at the bake answers as soon as the cluster is ready", filled)];

const SERVER: &str = "kubake-e2e/postgres:1";
const IMAGE: &str = "kubake-e2e/database:1";
const ROWS: &str = "100000";
const PATIENCE: Duration = Duration::from_secs(600);

/// Debian's server; the first start makes the database. SIGINT is PostgreSQL's fast shutdown, which asks no client.
const DOCKERFILE: &str = r#"
RUN apt-get update -q && apt-get install -qy --no-install-recommends postgresql && rm -rf /var/lib/apt/lists/*
RUN printf '%s\n' '#!/bin/sh' 'set -eu' 'cd /usr/lib/postgresql/*/bin' \
    'if [ ! -e "$PGDATA/PG_VERSION" ]; then ./initdb --auth=trust --no-sync; echo "host all all all trust" >> "$PGDATA/pg_hba.conf"; fi' \
    'exec ./postgres -c listen_addresses="*"' > /serve && chmod 755 /serve
USER postgres
ENV PGDATA=/data/database
STOPSIGNAL SIGINT
ENTRYPOINT ["/serve"]
"#;

fn filled() -> Result<()> {
    let base = lab()?.image()?;
    let directory = lab()?.directory()?;
    let _images = Images::guard([IMAGE, SERVER]);
    debian::build(lab()?, SERVER, DOCKERFILE)?;
    let (images, hooks) = (directory.path().join("images.d"), directory.path().join("hooks"));
    lab::write(&images.join("list.txt"), format!("docker://{SERVER}\n"))?;
    lab::write(&hooks.join("manifests/10-server.json"), server().to_string())?;
    lab::write(&hooks.join("manifests/20-fill/fill.json"), fill().to_string())?;
    lab::write(&hooks.join("manifests/20-fill/kustomization.yaml"), "resources: [fill.json]\n")?;

    let (images, hooks) = (images.to_string_lossy(), hooks.to_string_lossy());
    let arguments = ["bake", "--from", base, "--tag", IMAGE, "--images-dir", &images, "--hooks-dir", &hooks];
    lab()?.run(directory.path(), PATIENCE, arguments)?.success()?;

    let cluster = Cluster::up(lab()?, &format!("{PREFIX}-database"), &["--image", IMAGE])?;
    let kubectl = cluster.kubectl()?;
    // One request: ready means that the database answers.
    let count = ["exec", "database-0", "--", "psql", "--tuples-only", "--no-align", "--command"];
    let rows = kubectl.run(count.iter().chain(&["SELECT count(*) FROM numbers"]))?;
    ensure!(rows.trim() == ROWS, "there are {rows:?} rows");
    let log = kubectl.run(["logs", "database-0"])?;
    ensure!(log.contains("database system was shut down at"), "the server was not stopped in order:\n{log}");
    kubectl.run(count.iter().chain(&["INSERT INTO numbers VALUES (0)"])).context("and takes new ones")?;
    engine::run(["restart", cluster.container()])?;
    cluster.wait_ready(PATIENCE)?;
    let rows = cluster.kubectl()?.run(count.iter().chain(&["SELECT count(*) FROM numbers"]))?;
    ensure!(rows.trim() == "100001", "after a restart there are {rows:?} rows");
    Ok(())
}

fn server() -> Value {
    let labels = json!({ "app": "database" });
    let ready = json!({ "exec": { "command": ["psql", "--command", "SELECT 1"] }, "periodSeconds": 1 });
    let container = json!({
        "name": "server",
        "image": SERVER,
        "imagePullPolicy": "IfNotPresent",
        "readinessProbe": ready,
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
    });
    let claim = json!({
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    let set = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": "database", "namespace": "default" },
        "spec": {
            "serviceName": "database",
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
            "volumeClaimTemplates": [claim],
        },
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "database", "namespace": "default" },
        "spec": { "clusterIP": "None", "selector": labels, "ports": [{ "port": 5432 }] },
    });
    json!({ "apiVersion": "v1", "kind": "List", "items": [service, set] })
}

fn fill() -> Value {
    let script = format!(
        "until psql --host=database-0.database --command='SELECT 1'; do sleep 1; done\n\
         psql --host=database-0.database --command='CREATE TABLE numbers AS SELECT generate_series(1, {ROWS}) AS number'\n"
    );
    let container = json!({
        "name": "fill",
        "image": SERVER,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-euc", script],
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": "fill", "namespace": "default" },
        "spec": { "template": { "spec": { "restartPolicy": "OnFailure", "containers": [container] } } },
    })
}
