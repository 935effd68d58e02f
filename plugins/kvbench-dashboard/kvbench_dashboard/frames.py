"""``/frames``: single frames of a run's videos, as pictures."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kvbench_core.errors import KvbenchError, printable
from kvbench_core.run.store import RunStore
from kvbench_dashboard.clips import Clips
from kvbench_dashboard.opened import opened_runs

if TYPE_CHECKING:
    from kvbench_core.metric import Frame

TYPES = {"png": "image/png", "jpg": "image/jpeg"}
# The address of a picture contains its video's digest, so a browser may keep it.
KEPT = {"Cache-Control": "private, max-age=86400, immutable"}


def frame_route(clips: Clips) -> Route:
    """``/frames/RUN/CELL/FRAME.png`` (exact pixels) or ``.jpg`` (a smaller copy).

    RUN is the run's place on the command line. Answers 404 with one sentence when there is no
    such frame.
    """

    def answer(request: Request) -> Response:
        run, cell = request.path_params["run"], request.path_params["cell"]
        index, kind = request.path_params["frame"], request.path_params["kind"]
        runs = opened_runs()
        if run >= len(runs) or kind not in TYPES:
            return PlainTextResponse("no such frame", 404)
        try:
            frame = clips.get(RunStore(runs[run]), cell).frame(index)
        except KvbenchError as error:
            return PlainTextResponse(printable(str(error)), 404)
        return Response(encoded(frame, kind), media_type=TYPES[kind], headers=KEPT)

    return Route("/frames/{run:int}/{cell}/{frame:int}.{kind}", answer)


def encoded(frame: Frame, kind: str) -> bytes:
    """A picture of a frame ``[height, width, 3]``: lossless PNG, or JPEG without chroma loss."""
    from PIL import Image

    out = BytesIO()
    picture = Image.fromarray(frame)
    if kind == "png":
        picture.save(out, "PNG", compress_level=1)
    else:
        picture.save(out, "JPEG", quality=88, subsampling=0)
    return out.getvalue()
