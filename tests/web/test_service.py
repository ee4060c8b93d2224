"""The running service serves pages and API itself, and works on whatever becomes of them."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labcluster.ports import free_block
from tests.database.server import Schema
from tests.service import Service, until
from tests.unit.samples import COMMENT

MakeService = Callable[..., Service]


class OverSocket(http.client.HTTPConnection):
    """HTTP to a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("host", timeout=20)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def ask(path: Path, target: str) -> Any:
    connection = OverSocket(path)
    connection.request("GET", target)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_leader_and_standby_both_serve_and_a_stop_takes_the_socket_away(
    make_service: MakeService, mysql: Schema, tmp_path: Path
) -> None:
    services, roles = [], []
    for name in ("one", "two"):
        service = make_service(database=mysql.section(), web={"socket": str(tmp_path / name)})
        service.start()
        services.append(service)
    roles = [ask(tmp_path / name, "/api/v1/service")["role"] for name in ("one", "two")]
    assert roles == ["leader", "standby"]
    job_id = services[0].submit("#!/bin/bash\nsleep 60\n", f"--comment={COMMENT}")
    path = f"/api/v1/jobs/{job_id}"
    until("the job to be told", lambda: ask(tmp_path / "two", path).get("job_id") == job_id)
    assert services[0].stop() == 0
    assert not (tmp_path / "one").exists()
    services[1].stop()


def test_a_port_in_use_stops_no_recovery_and_is_taken_once_it_is_free(
    make_service: MakeService,
) -> None:
    """Any user may listen on a port before ajrd is started again."""
    port = free_block(1)
    with socket.create_server(("127.0.0.1", port)):
        service = make_service(web={"listen": f"127.0.0.1:{port}"})
        service.start()
        until("the port to be missed", lambda: "web_unavailable" in service.log.read_text())
        words = "\n".join(service.last_words(20))
    said = f"cannot listen on web.listen 127.0.0.1:{port}: another process listens there"
    assert said in words
    assert "Traceback" not in words
    until("the port to be taken", lambda: "web_serves" in service.log.read_text())
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    assert service.stop() == 0
