"""Two validating admission webhooks, each on its own port with its own certificate: one for Gadgets, one for pods.

The directory of a certificate is a mounted Secret of type kubernetes.io/tls.
"""

import http.server
import json
import signal
import ssl
import sys
import threading

MOST_COPIES = 10


def judge_gadget(gadget):
    """Returns why a Gadget is refused, or None."""
    copies = gadget["spec"]["copies"]
    if copies > MOST_COPIES:
        return f"gadget {gadget['metadata']['name']} wants {copies} copies; the most is {MOST_COPIES}"
    return None


def judge_pod(pod):
    """Returns why a pod is refused, or None."""
    if pod["metadata"].get("labels", {}).get("kubake.example/unwanted") == "yes":
        return "unwanted pods are not run here"
    return None


def handler(judge):
    """A class that answers AdmissionReviews."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            """The readiness probe."""
            self.answer(b"ok\n", "text/plain")

        def do_POST(self):
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reason = judge(review["request"]["object"])
            response = {"uid": review["request"]["uid"], "allowed": reason is None}
            if reason is not None:
                response["status"] = {"code": 403, "message": reason}
            answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
            self.answer(json.dumps(answer).encode(), "application/json")

        def answer(self, body, kind):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Not a line for every probe."""

    return Handler


def serve(port, certificate, judge):
    """Serves in a thread of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}/tls.crt", f"{certificate}/tls.key")
    server = http.server.ThreadingHTTPServer(("", port), handler(judge))
    # Each connection's thread shakes hands itself: one that says nothing must not keep others waiting.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    # As the first process of its container it would ignore the signal otherwise, and delay every stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(8443, "/certificates/gadgets", judge_gadget)
    serve(8444, "/certificates/pods", judge_pod)
    while True:
        signal.pause()


main()
