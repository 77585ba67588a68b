"""A receiver of webhooks: waits for one about a job that it creates, and believes only what is signed.

A dispatcher calls public addresses only; for one on the same machine it needs ORRERY_WEBHOOK_ALLOW_PRIVATE=true.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from standardwebhooks import Webhook

from orrery import Client

# `orrery up` keeps the secret in its home; elsewhere it is the dispatcher's ORRERY_WEBHOOK_SECRET.
webhook = Webhook(os.environ.get("ORRERY_WEBHOOK_SECRET") or Path(".orrery/webhook-secret").read_text())


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        webhook.verify(body, dict(self.headers))  # raises if it is forged, changed or old
        self.send_response(204)
        self.end_headers()
        told = json.loads(body)
        print(told["type"], told["data"]["id"])


server = HTTPServer(("127.0.0.1", 0), Receiver)
with Client(os.environ.get("ORRERY_URL", "http://127.0.0.1:8080")) as client:
    client.create(
        "A red ball rolls across a wooden table.",
        num_inference_steps=4,
        webhook_url=f"http://127.0.0.1:{server.server_port}/",
    )
server.handle_request()
