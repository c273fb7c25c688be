"""Answers like Airflow's API server, as far as the local stack asks: ``python fake_airflow.py PORT FOLDER``.

DAGs are known once there is a file of their name in FOLDER; a file ``name.broken`` there is an import error of
``name.py``. What it is asked to unpause it writes to FOLDER/unpaused. The scheduler's last heartbeat is the time of
FOLDER/scheduler.beat, and so on.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    folder: Path

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/api/v2/monitor/health":
            parts = {name: self.health(name) for name in ("scheduler", "dag_processor", "triggerer")}
            self.answer(200, {"metadatabase": {"status": "healthy"}, **parts})
        elif path == "/api/v2/importErrors":
            broken = [
                {"filename": f"{path.stem}.py", "stack_trace": "SyntaxError"} for path in self.folder.glob("*.broken")
            ]
            self.answer(200, {"import_errors": broken, "total_entries": len(broken)})
        else:
            self.answer(200 if (self.folder / path.rpartition("/")[2]).exists() else 404, {})

    def do_POST(self):
        self.answer(201, {"access_token": "token"})

    def do_PATCH(self):
        with (self.folder / "unpaused").open("a") as file:
            file.write(self.path.rpartition("/")[2] + "\n")
        self.answer(200, {})

    def health(self, name):
        beat = self.folder / f"{name}.beat"
        if not beat.exists():
            return {"status": None, f"latest_{name}_heartbeat": None}
        time = datetime.fromtimestamp(beat.stat().st_mtime, UTC)
        return {"status": "healthy", f"latest_{name}_heartbeat": time.isoformat()}

    def answer(self, status, body):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    Handler.folder = Path(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
