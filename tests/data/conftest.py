"""A web server on this machine, and well-formed files of the publishers' formats with made-up content."""

import gzip
import hashlib
import http.server
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from explorer.data.download import RemoteFile


class LocalServer:
    """Serves what is in ``pages``; every request is kept in ``requests``."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.announce: dict[str, int] = {}  # path -> Content-Length that is not the true one
        self.requests: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                if self.path not in outer.pages:
                    self.send_error(404, "Not Found")
                    return
                body = outer.pages[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(outer.announce.get(self.path, len(body))))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client gave up, as some tests want

            def log_message(self, *args: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def file(self, name: str, content: bytes, **changes: object) -> RemoteFile:
        """Serve ``content`` and return the description of it, with ``changes`` made to the description."""
        self.pages[f"/{name}"] = content
        fields: dict[str, object] = {
            "name": name,
            "url": f"{self.url}/{name}",
            "size_bytes": len(content),
            "md5": hashlib.md5(content).hexdigest(),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        return RemoteFile(**{**fields, **changes})  # type: ignore[arg-type]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    local = LocalServer()
    yield local
    local.close()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let connections go to this machine only."""
    import socket

    genuine = socket.socket.connect

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        assert address[0] == "127.0.0.1", f"a test tried to reach {address}"
        genuine(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def own_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's own data folder out of the tests."""
    folder = tmp_path / "default-data-dir"
    monkeypatch.setenv("EXPLORER_DATA_DIR", str(folder))
    return folder


@pytest.fixture
def idx_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a gzip-compressed IDX file, by default a sound one."""

    def write(
        array: np.ndarray,
        *,
        magic: int | None = None,
        shape: tuple[int, ...] | None = None,
        cut: int = 0,
        extra: bytes = b"",
        name: str = "some-idx.gz",
    ) -> Path:
        shape = array.shape if shape is None else shape
        magic = 2048 + len(shape) if magic is None else magic
        content = struct.pack(f">{1 + len(shape)}I", magic, *shape) + array.tobytes() + extra
        path = tmp_path / name
        path.write_bytes(gzip.compress(content[: len(content) - cut], 1, mtime=0))
        return path

    return write
