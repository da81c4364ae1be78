"""A steady load on one server that keeps an account of what went wrong."""

import http.client
import threading
import time
from dataclasses import dataclass, field

BODY = b'{"inputs": {"x": [1.0]}, "params": {"sleep": 0.005}}'
ANSWER = b'{"predictions":[2.0]}'


@dataclass
class Load:
    """Clients in threads: half keep their connection as long as the server lets them, half open one a request."""

    port: int
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    closing: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, clients: int) -> None:
        for number in range(clients):
            thread = threading.Thread(target=self._run, kwargs={"keep": number % 2 == 0}, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _run(self, *, keep: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self._stop.is_set():
            try:
                connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
                response = connection.getresponse()
                body = response.read()
                fault = None if (response.status, body) == (200, ANSWER) else f"{response.status} {body!r}"
                closing = response.getheader("connection") == "close"
            except (OSError, http.client.HTTPException) as error:
                fault, closing = repr(error), False
                connection.close()
            with self._lock:
                self.answered += fault is None
                self.closing += closing
                if fault is not None:
                    self.failures.append(fault)
            if not keep:
                connection.close()
            time.sleep(0.002)
        connection.close()
