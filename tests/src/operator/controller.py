"""Reconciles Gadgets: each gets a ConfigMap with its text in as many copies as it wants, and a status that says so.

A controller as people write them, reduced to the standard library: it has nothing but its service account's token and
the cluster's CA, as kubelet mounts them into the pod. Both are read anew for each request, because both change.
"""

import http.client
import json
import os
import pathlib
import signal
import ssl
import sys
import time

ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
GADGETS = "/apis/kubake.example/v1/gadgets"
# What the readiness probe looks for: all Gadgets there were have been reconciled, and changes are watched.
READY = pathlib.Path("/tmp/ready")
# The API server ends a watch after this many seconds; silence for longer is a dead connection.
WATCH_SECONDS = 60
PAUSE_SECONDS = 0.2


class Refused(Exception):
    """An answer of the API server that is no success."""


def ask(method, path, body=None, kind="application/json"):
    """Sends one request and gives the answer, whose body has yet to be read."""
    context = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    connection = http.client.HTTPSConnection(
        os.environ["KUBERNETES_SERVICE_HOST"],
        int(os.environ["KUBERNETES_SERVICE_PORT"]),
        context=context,
        timeout=WATCH_SECONDS + 10,
    )
    headers = {"Authorization": "Bearer " + (ACCOUNT / "token").read_text(), "Content-Type": kind}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    if answer.status >= 300:
        raise Refused(f"{method} {path}: {answer.status} {answer.read().decode(errors='replace')}")
    return answer


def reconcile(gadget):
    """Makes what a Gadget wants. Changes nothing that is as it should be: its own changes wake the watch, too."""
    metadata, spec = gadget["metadata"], gadget["spec"]
    if "deletionTimestamp" in metadata:
        return
    name, namespace = f"gadget-{metadata['name']}", metadata["namespace"]
    status = {"phase": "Ready", "configMap": name, "observedGeneration": metadata["generation"]}
    owner = {
        "apiVersion": gadget["apiVersion"],
        "kind": gadget["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": [owner]},
        "data": {"content": "\n".join([spec["text"]] * spec["copies"])},
    }
    path = f"/api/v1/namespaces/{namespace}/configmaps/{name}?fieldManager=gadgets&force=true"
    ask("PATCH", path, config_map, "application/apply-patch+yaml").read()
    if gadget.get("status") != status:
        path = f"/apis/kubake.example/v1/namespaces/{namespace}/gadgets/{metadata['name']}/status"
        ask("PATCH", path, {"status": status}, "application/merge-patch+json").read()
    print(f"{namespace}/{metadata['name']} is reconciled", flush=True)


def follow():
    """Reconciles all Gadgets, then each that changes, until the watch ends."""
    gadgets = json.load(ask("GET", GADGETS))
    for gadget in gadgets["items"]:
        # Items of a list do not say what they are.
        reconcile({"apiVersion": "kubake.example/v1", "kind": "Gadget"} | gadget)
    version = gadgets["metadata"]["resourceVersion"]
    query = f"?watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
    watch = ask("GET", GADGETS + query)
    READY.touch()
    for line in watch:
        event = json.loads(line)
        if event["type"] == "ERROR":
            # The version is too old, most likely: list again.
            raise Refused(f"the watch ended: {event['object']}")
        if event["type"] in ("ADDED", "MODIFIED"):
            reconcile(event["object"])


def main():
    # As the first process of its container it would ignore the signal otherwise, and delay every stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            follow()
        except (Refused, OSError, http.client.HTTPException, ValueError) as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            time.sleep(PAUSE_SECONDS)


main()
