"""A gate in the wire between an agent and the server: holds bytes back, slows them down, cuts. TLS passes unread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

TO_SERVER = "to server"
TO_AGENT = "to agent"
CHUNK_BYTES = 16 * 1024


class Gate:
    """Listens on a port of its own and passes each connection on to the server's agent listener."""

    def __init__(self, target: Callable[[], tuple[str, int]]) -> None:
        self._target = target
        self._open = {direction: threading.Event() for direction in (TO_SERVER, TO_AGENT)}
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.passed_bytes = {TO_SERVER: 0, TO_AGENT: 0}
        self.bytes_per_sec_to_agent: float | None = None
        self.release()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, direction: str) -> None:
        """From now on nothing passes in this direction."""
        self._open[direction].clear()

    def release(self, *directions: str) -> None:
        """What was held back passes, and all that follows; without a direction in both."""
        for direction in directions or self._open:
            self._open[direction].set()

    def cut(self) -> None:
        """Ends every connection; what was held back is lost. New ones are taken."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            _end(each)

    def close(self) -> None:
        _end(self._listener)
        self.cut()
        self.release()

    def _accept(self) -> None:
        while True:
            try:
                agent, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target(), timeout=10)
            except OSError:
                # The server is down: the agent sees a connection that ends at once.
                agent.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets |= {agent, server}
            for source, sink, direction in ((agent, server, TO_SERVER), (server, agent, TO_AGENT)):
                threading.Thread(target=self._pump, args=(source, sink, direction), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        try:
            while chunk := source.recv(CHUNK_BYTES):
                self._open[direction].wait()
                with self._lock:
                    if source not in self._sockets:
                        return
                sink.sendall(chunk)
                self.passed_bytes[direction] += len(chunk)
                if direction == TO_AGENT and self.bytes_per_sec_to_agent:
                    time.sleep(len(chunk) / self.bytes_per_sec_to_agent)
        except OSError:
            pass
        finally:
            with self._lock:
                self._sockets -= {source, sink}
            for each in (source, sink):
                _end(each)


def _end(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    each.close()
