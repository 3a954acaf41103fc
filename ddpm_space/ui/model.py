"""`ModelSlot`: one model for the whole app, loaded beside the page so that the page does not wait for it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ddpm_space.models import LoadedModel


class ModelSlot:
    """Loads `source` once, in a thread; whoever needs the model waits for it.

    Args:
        source: "bundled:mnist", a folder, or a Hub id `user/repo[@revision]`.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._loading: Future[LoadedModel] = Future()
        self._lock = threading.Lock()
        self._started = False

    def start(self) -> None:
        """Begin to load; does nothing the second time."""
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._load, name="load-model", daemon=True).start()

    def get(self) -> LoadedModel:
        """Return the model, waiting for it if need be.

        Raises:
            ModelError: it cannot be loaded; the same error every time.
        """
        self.start()
        return self._loading.result()

    def _load(self) -> None:
        try:
            # diffusers takes seconds to import, so it comes with the model and not with the page.
            from ddpm_space import models

            model = models.load(self.source)
            if model.channels not in (1, 3):
                raise models.ModelError("error.model.channels", source=self.source, found=model.channels)
            self._loading.set_result(model)
        except Exception as error:
            self._loading.set_exception(error)
