# SPDX-License-Identifier: Apache-2.0
"""Serve moto's S3, one request at a time: `python s3_process.py HOST PORT`.

A program of its own, run by `s3_server.py` and docker-compose.yml. It differs from
moto's own server in two points:

* S3 decides and makes a conditional write in one step; moto looks, then writes, so that
  two requests at once can both be told that they won.
* Moto finds out for each request which service of AWS it is for, which takes it as long
  as the answer. Here all are for S3.
"""

from __future__ import annotations

import io
import sys
import threading
from typing import TYPE_CHECKING

from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wsgi import get_input_stream

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment


class SerialApplication:
    """The WSGI application of moto behind a lock."""

    def __init__(self) -> None:
        """Make the application; its state is that of this process."""
        self._moto = create_backend_app("s3")
        self._lock = threading.Lock()

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Read the whole request first, so that a slow client delays no other."""
        body = get_input_stream(environ).read()
        environ["wsgi.input"] = io.BytesIO(body)
        with self._lock:
            return list(self._moto(environ, start_response))


if __name__ == "__main__":
    make_server(
        sys.argv[1],
        int(sys.argv[2]),
        SerialApplication(),
        threaded=True,
        request_handler=MotoRequestHandler,
    ).serve_forever()
